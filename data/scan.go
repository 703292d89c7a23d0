package data

import (
	"context"
	"errors"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
)

// maxPictureBytes bounds a picture file, which is read as a whole.
const maxPictureBytes = 1 << 30

// header is what the first bytes of a file say: a picture of some format, an error (then it is a bad picture), or
// neither (then it is none).
type header struct {
	format        string
	width, height int
	err           error
}

// scan reads the headers of all candidates in parallel. The result keeps their order.
func scan(ctx context.Context, candidates []file, workers int) (*Files, error) {
	headers := make([]header, len(candidates))
	var next atomic.Int64
	var group sync.WaitGroup
	for range 4 * workers { // reading headers is waiting for the disk, not computing
		group.Go(func() {
			for i := next.Add(1) - 1; i < int64(len(candidates)) && ctx.Err() == nil; i = next.Add(1) - 1 {
				headers[i] = readHeader(candidates[i])
			}
		})
	}
	group.Wait()
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	return sortOut(candidates, headers), nil
}

// sortOut separates pictures from broken ones and from other files.
func sortOut(candidates []file, headers []header) *Files {
	f := &Files{report: Report{Files: len(candidates), Formats: map[string]int{}}}
	for i, h := range headers {
		switch {
		case h.err != nil:
			f.report.Bad = append(f.report.Bad, &PictureError{Path: candidates[i].path, Err: h.err})
		case h.format == "":
			f.report.Ignored++
		default:
			picture := candidates[i]
			picture.width, picture.height = h.width, h.height
			f.pictures = append(f.pictures, picture)
			f.report.Formats[h.format]++
		}
	}
	f.report.Pictures = len(f.pictures)
	return f
}

// readHeader looks at one file. A file that is no picture by its content is a bad picture only if a list or its
// name says that it should be one.
func readHeader(candidate file) header {
	f, err := os.Open(candidate.path)
	if err != nil {
		return expected(candidate, withoutPath(err))
	}
	defer f.Close()
	head := make([]byte, headBytes)
	n, err := io.ReadFull(f, head)
	if err != nil && !errors.Is(err, io.ErrUnexpectedEOF) && !errors.Is(err, io.EOF) {
		return expected(candidate, withoutPath(err))
	}
	c, err := findCodec(head[:n])
	if errors.Is(err, errNoPicture) {
		return expected(candidate, err)
	}
	if err != nil {
		return header{err: err}
	}
	return readDimensions(f, c)
}

func readDimensions(f *os.File, c codec) header {
	if _, err := f.Seek(0, io.SeekStart); err != nil {
		return header{err: err}
	}
	config, err := c.dimensions(f)
	if err != nil {
		return header{err: err}
	}
	return header{format: c.name, width: config.Width, height: config.Height}
}

// expected makes a bad picture of a file that was meant to be one.
func expected(candidate file, err error) header {
	names := []string{".jpg", ".jpeg", ".png", ".gif", ".webp", ".bmp", ".tif", ".tiff", ".heic", ".avif"}
	if candidate.listed || slices.Contains(names, strings.ToLower(filepath.Ext(candidate.path))) {
		return header{err: err}
	}
	return header{}
}

// withoutPath strips the path of a file system's error, as a PictureError names it already.
func withoutPath(err error) error {
	var pathError *os.PathError
	if errors.As(err, &pathError) {
		return pathError.Err
	}
	return err
}

// readPicture decodes a file.
func readPicture(path string) (Image, error) {
	contents, err := readFile(path, maxPictureBytes)
	if err != nil {
		return Image{}, withoutPath(err)
	}
	return Decode(contents)
}
