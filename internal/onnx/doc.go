// Package onnx holds the messages of an ONNX file, generated from the project's own onnx.proto: release 1.12, licence
// Apache-2.0, as Debian's python3-onnx has it, whose checker the exported files must pass. `make generate-onnx` makes
// onnx.pb.go; nothing here is written by hand.
package onnx
