package metrics

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
)

// Follower reads a metrics.jsonl while a run writes it. It bears what happens to such a file: a last line that is torn
// or still being written, a resumption that cuts the file back, another run that takes its place. It keeps no file open
// and belongs to one goroutine.
type Follower struct {
	path   string
	offset int64  // of what was not read yet
	last   []byte // the line before offset: if it is not there any more, the file is another one
}

// Follow begins before the first record of the file path, which need not exist yet.
func Follow(path string) *Follower { return &Follower{path: path} }

// longestLine bounds the memory that a file without newlines takes, in bytes.
const longestLine = 16 << 20

// Poll reads the records written since the last call. If again is true, the file was cut back or replaced: the records
// are those from its beginning, and what was read before does not hold. Lines that are no records are counted in broken
// and left out. A file that does not exist is empty.
func (f *Follower) Poll() (records []Record, again bool, broken int, err error) {
	file, err := os.Open(f.path)
	if errors.Is(err, fs.ErrNotExist) {
		again = f.offset > 0
		f.offset, f.last = 0, nil
		return nil, again, 0, nil
	}
	if err != nil {
		return nil, false, 0, fmt.Errorf("metrics log: %w", err)
	}
	defer file.Close()
	if again, err = f.rewind(file); err != nil {
		return nil, again, 0, err
	}
	text, err := io.ReadAll(io.NewSectionReader(file, f.offset, 1<<62))
	if err != nil {
		return nil, again, 0, fmt.Errorf("metrics log: %w", err)
	}
	records, broken, err = f.take(text)
	return records, again, broken, err
}

// rewind goes back to the beginning of a file that does not hold the last line where it was read.
func (f *Follower) rewind(file *os.File) (again bool, err error) {
	found := make([]byte, len(f.last))
	_, err = file.ReadAt(found, f.offset-int64(len(f.last)))
	if err == nil && bytes.Equal(found, f.last) {
		return false, nil
	}
	if err != nil && !errors.Is(err, io.EOF) {
		return false, fmt.Errorf("metrics log: %w", err)
	}
	f.offset, f.last = 0, nil
	return true, nil
}

// take parses the whole lines of text, which begins at the offset, and leaves the rest for later.
func (f *Follower) take(text []byte) (records []Record, broken int, err error) {
	for {
		end := bytes.IndexByte(text, '\n')
		if end < 0 {
			break
		}
		if record, err := parse(text[:end]); err == nil {
			records = append(records, record)
		} else {
			broken++
		}
		f.offset += int64(end + 1)
		f.last = append(f.last[:0], text[:end+1]...)
		text = text[end+1:]
	}
	if len(text) > longestLine {
		return records, broken, fmt.Errorf("metrics log: %s has a line of more than %d MiB: it is no log of metrics", f.path, longestLine>>20)
	}
	return records, broken, nil
}
