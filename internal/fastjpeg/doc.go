// Package fastjpeg decodes ordinary JPEG files to the very pixels that image/jpeg makes of them, in less than half the time.
//
// Ordinary is what cameras and programs write by default: 8-bit baseline with Huffman codes, grey or YCbCr, all
// components in one scan, without errors. Whatever else there is, a Decoder declines, and the caller asks image/jpeg,
// which also finds the words for what is wrong with a file. So a Decoder needs no messages and forgives nothing: where
// image/jpeg repairs a stream, it declines.
//
// The format is that of ITU-T T.81 (1992); sections are named beside the code. The time is saved by a buffer of 64 bits
// that is filled four bytes at a time, by tables that give a code together with the number after it, and by the inverse
// transform of internal/pixel.
package fastjpeg
