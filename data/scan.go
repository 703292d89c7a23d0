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

// scanned is the number of candidates whose headers are held at once.
const scanned = 8192

// scan reads the headers of all candidates in parallel. The result keeps their order, and takes over their memory.
func scan(ctx context.Context, root string, candidates []file, workers int) (*Files, error) {
	f := &Files{root: root, pictures: candidates[:0], report: Report{Files: len(candidates), Formats: map[string]int{}}}
	for part := range slices.Chunk(candidates, scanned) {
		headers := readHeaders(ctx, root, part, workers)
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		f.sortOut(part, headers)
	}
	f.report.Pictures = len(f.pictures)
	return f, nil
}

func readHeaders(ctx context.Context, root string, candidates []file, workers int) []header {
	headers := make([]header, len(candidates))
	var next atomic.Int64
	var group sync.WaitGroup
	for range 4 * workers { // reading headers is waiting for the disk, not computing
		group.Go(func() {
			for i := next.Add(1) - 1; i < int64(len(candidates)) && ctx.Err() == nil; i = next.Add(1) - 1 {
				headers[i] = readHeader(candidates[i].path(root), candidates[i].listed)
			}
		})
	}
	group.Wait()
	return headers
}

// sortOut separates pictures from broken ones and from other files.
func (f *Files) sortOut(candidates []file, headers []header) {
	for i, h := range headers {
		switch {
		case h.err != nil:
			f.report.Bad = append(f.report.Bad, &PictureError{Path: candidates[i].path(f.root), Err: h.err})
		case h.format == "":
			f.report.Ignored++
		default:
			picture := candidates[i]
			picture.width, picture.height = int32(h.width), int32(h.height) // at most MaxPixels
			f.pictures = append(f.pictures, picture)                        // never overtakes the candidates
			f.report.Formats[h.format]++
		}
	}
}

// readHeader looks at one file. A file that is no picture by its content is a bad picture only if a list or its
// name says that it should be one.
func readHeader(path string, listed bool) header {
	f, err := os.Open(path)
	if err != nil {
		return expected(path, listed, withoutPath(err))
	}
	defer f.Close()
	head := make([]byte, headBytes)
	n, err := io.ReadFull(f, head)
	if err != nil && !errors.Is(err, io.ErrUnexpectedEOF) && !errors.Is(err, io.EOF) {
		return expected(path, listed, withoutPath(err))
	}
	c, err := findCodec(head[:n])
	if errors.Is(err, errNoPicture) {
		return expected(path, listed, err)
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
func expected(path string, listed bool, err error) header {
	names := []string{".jpg", ".jpeg", ".png", ".gif", ".webp", ".bmp", ".tif", ".tiff", ".heic", ".avif"}
	if listed || slices.Contains(names, strings.ToLower(filepath.Ext(path))) {
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
