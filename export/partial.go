package export

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"syscall"

	"pretrain/internal/atomicfile"
	"pretrain/internal/tensorfile"
)

// A Partial is a folder with the features that an unfinished extraction has made, in the order of the pictures. It holds
//
//   - identity.json: all that the features depend on, so that nothing else is added to them;
//   - features.f32: the little-endian float32 of every readable picture, one after another;
//   - pictures.jsonl: one line a picture, with the checksum of its features or why it could not be read.
//
// A line is written after the features that it vouches for, and is believed only with its checksum. So a process may be
// killed at any moment: what is found whole stays, and is not computed again. A Partial belongs to one goroutine, and its
// folder to one process.
type Partial struct {
	folder   string
	features *os.File
	lines    *os.File
	buffers  [2]*bufio.Writer // of features and lines
	row      []byte           // features of one picture
	sizes    []int            // of its vectors
	pictures int
	rows     int // readable pictures
}

const (
	partialIdentity = "identity.json"
	partialFeatures = "features.f32"
	partialLines    = "pictures.jsonl"

	// flushedPictures is how many pictures are written down at once.
	flushedPictures = 64
)

// partialLine is what is known of a picture beside its features.
type partialLine struct {
	Path   string `json:"path"` // quoted as in Go: a name need not be UTF-8, which JSON must be
	Label  string `json:"label"`
	Width  int    `json:"width,omitempty"`
	Height int    `json:"height,omitempty"`
	SHA256 string `json:"sha256,omitempty"`
	Bad    string `json:"bad,omitempty"` // why it could not be read
	Sum    uint32 `json:"sum,omitempty"` // CRC-32C of its bytes in features.f32
}

// ErrPartial is wrapped by errors about a Partial that is there and may be neither continued nor dropped.
var ErrPartial = errors.New("an extraction that was not finished")

// PartialFolder is where an extraction to path keeps what it has made.
func PartialFolder(path string) string { return path + ".partial" }

// NewPartial begins a Partial for the features file path with these columns. One that is there is an error (ErrPartial)
// unless it may be dropped. Close or Remove end it.
func NewPartial(path string, columns []FeatureColumn, identity map[string]string, drop bool) (*Partial, error) {
	p := &Partial{folder: PartialFolder(path)}
	if HasPartial(path) && !drop {
		return nil, fmt.Errorf("%s: %w is there: add --resume to go on with it, or --overwrite to begin anew", p.folder, ErrPartial)
	}
	if err := os.MkdirAll(p.folder, 0o755); err != nil {
		return nil, err
	}
	if err := p.open(columns); err != nil {
		return nil, err
	}
	if err := p.begin(identity); err != nil {
		p.Close()
		return nil, err
	}
	return p, nil
}

// HasPartial tells whether an unfinished extraction to path is there.
func HasPartial(path string) bool {
	_, err := os.Stat(filepath.Join(PartialFolder(path), partialIdentity))
	return err == nil
}

// ResumePartial goes on with the Partial of the features file path. One of another identity is an error (ErrPartial)
// that names what differs.
func ResumePartial(path string, columns []FeatureColumn, identity map[string]string) (*Partial, error) {
	p := &Partial{folder: PartialFolder(path)}
	if err := p.checkIdentity(identity); err != nil {
		return nil, err
	}
	if err := p.open(columns); err != nil {
		return nil, err
	}
	if err := p.recover(); err != nil {
		p.Close()
		return nil, err
	}
	return p, nil
}

func (p *Partial) checkIdentity(identity map[string]string) error {
	content, err := os.ReadFile(filepath.Join(p.folder, partialIdentity))
	if err != nil {
		return err
	}
	var before map[string]string
	if err := json.Unmarshal(content, &before); err != nil {
		return fmt.Errorf("%s: %w whose %s is damaged: %v; add --overwrite, without --resume, to begin anew", p.folder, ErrPartial, partialIdentity, err)
	}
	for _, key := range slices.Sorted(maps.Keys(identity)) {
		if before[key] != identity[key] {
			return fmt.Errorf("%s: %w was begun otherwise: its %s is %q, and now %q; repeat what it was begun with, or begin anew with --overwrite and without --resume",
				p.folder, ErrPartial, key, before[key], identity[key])
		}
	}
	return nil
}

// open opens the files, which one process at a time may.
func (p *Partial) open(columns []FeatureColumn) (err error) {
	size := 0
	for _, column := range columns {
		p.sizes = append(p.sizes, column.size())
		size += column.size()
	}
	p.row = make([]byte, 0, 4*size)
	if p.lines, err = os.OpenFile(filepath.Join(p.folder, partialLines), os.O_RDWR|os.O_CREATE, 0o644); err != nil {
		return err
	}
	if err := syscall.Flock(int(p.lines.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); errors.Is(err, syscall.EWOULDBLOCK) {
		p.lines.Close()
		return fmt.Errorf("%s: %w is being written by another process: wait for its end, or name another file", p.folder, ErrPartial)
	}
	if p.features, err = os.OpenFile(filepath.Join(p.folder, partialFeatures), os.O_RDWR|os.O_CREATE, 0o644); err != nil {
		p.lines.Close()
		return err
	}
	p.buffers = [2]*bufio.Writer{bufio.NewWriterSize(p.features, 256<<10), bufio.NewWriter(p.lines)}
	return nil
}

// begin drops what an older extraction left.
func (p *Partial) begin(identity map[string]string) error {
	if err := errors.Join(p.lines.Truncate(0), p.features.Truncate(0)); err != nil {
		return err
	}
	return atomicfile.Write(filepath.Join(p.folder, partialIdentity), true, func(w io.Writer) error {
		encoder := json.NewEncoder(w)
		encoder.SetIndent("", "  ")
		return encoder.Encode(identity)
	})
}

// recover finds how far the files are whole, cuts off the rest and leaves them ready for the next picture.
func (p *Partial) recover() error {
	var lineBytes int64
	err := p.scan(func(line partialLine, length int) error {
		lineBytes += int64(length)
		p.pictures++
		if line.Bad == "" {
			p.rows++
		}
		return nil
	})
	if err != nil && !errors.Is(err, errTorn) {
		return err
	}
	for file, end := range map[*os.File]int64{p.lines: lineBytes, p.features: int64(p.rows) * int64(cap(p.row))} {
		if err := file.Truncate(end); err != nil {
			return err
		}
		if _, err := file.Seek(end, io.SeekStart); err != nil {
			return err
		}
	}
	return nil
}

// errTorn says that a line, or the features that it vouches for, are not whole.
var errTorn = errors.New("damaged")

// scan reads everything from the start, and leaves the features of each picture in p.row.
func (p *Partial) scan(visit func(line partialLine, length int) error) error {
	for _, file := range []*os.File{p.lines, p.features} {
		if _, err := file.Seek(0, io.SeekStart); err != nil {
			return err
		}
	}
	lines, features := bufio.NewReader(p.lines), bufio.NewReaderSize(p.features, 256<<10)
	for number := 1; ; number++ {
		text, err := lines.ReadBytes('\n')
		if err == io.EOF && len(text) == 0 {
			return nil
		}
		var line partialLine
		if err != nil || json.Unmarshal(text, &line) != nil {
			return fmt.Errorf("%s: line %d is %w", p.lines.Name(), number, errTorn)
		}
		if line.Bad == "" {
			p.row = p.row[:cap(p.row)]
			if _, err := io.ReadFull(features, p.row); err != nil || crc32.Checksum(p.row, tensorfile.Castagnoli) != line.Sum {
				return fmt.Errorf("%s: the features of %s are %w", p.features.Name(), line.Path, errTorn)
			}
		}
		if err := visit(line, len(text)); err != nil {
			return err
		}
	}
}

// Folder is the folder that holds the files.
func (p *Partial) Folder() string { return p.folder }

// Pictures is the number of pictures that are there, readable or not.
func (p *Partial) Pictures() int { return p.pictures }

// Rows is the number of readable pictures that are there.
func (p *Partial) Rows() int { return p.rows }

// Add takes the next picture. Nothing of the row is kept.
func (p *Partial) Add(row FeatureRow) error {
	p.row = p.row[:0]
	for _, vector := range row.Vectors {
		p.row = appendFloats(p.row, vector)
	}
	if _, err := p.buffers[0].Write(p.row); err != nil {
		return err
	}
	p.rows++
	return p.addLine(partialLine{
		Path: strconv.Quote(row.Path), Label: strconv.Quote(row.Label), Width: row.Width, Height: row.Height, SHA256: row.SHA256,
		Sum: crc32.Checksum(p.row, tensorfile.Castagnoli),
	})
}

// AddBad takes the next picture, which could not be read.
func (p *Partial) AddBad(path string, reason error) error {
	return p.addLine(partialLine{Path: strconv.Quote(path), Label: `""`, Bad: reason.Error()})
}

func (p *Partial) addLine(line partialLine) error {
	text, err := json.Marshal(line)
	if err != nil {
		return err
	}
	if _, err := p.buffers[1].Write(append(text, '\n')); err != nil {
		return err
	}
	if p.pictures++; p.pictures%flushedPictures == 0 {
		return p.flush()
	}
	return nil
}

// flush writes the features before the lines that vouch for them.
func (p *Partial) flush() error {
	for _, buffer := range p.buffers {
		if err := buffer.Flush(); err != nil {
			return err
		}
	}
	return nil
}

// Each visits the pictures in order: readable ones with a row, which changes after the visit, and the others with the
// reason. Nothing may be added any more. Damage since they were written is an error; ResumePartial keeps what comes before it.
func (p *Partial) Each(visit func(row FeatureRow, bad error) error) error {
	if err := p.flush(); err != nil {
		return err
	}
	vectors := make([][]float32, len(p.sizes))
	for i, size := range p.sizes {
		vectors[i] = make([]float32, size)
	}
	return p.scan(func(line partialLine, _ int) error {
		row := FeatureRow{Width: line.Width, Height: line.Height, SHA256: line.SHA256}
		var pathErr, labelErr error
		row.Path, pathErr = strconv.Unquote(line.Path)
		row.Label, labelErr = strconv.Unquote(line.Label)
		if err := errors.Join(pathErr, labelErr); err != nil {
			return fmt.Errorf("%s: %s: %w", p.lines.Name(), line.Path, err)
		}
		if line.Bad != "" {
			return visit(row, errors.New(line.Bad))
		}
		source := bytes.NewReader(p.row)
		for _, vector := range vectors {
			if err := binary.Read(source, binary.LittleEndian, vector); err != nil {
				return err
			}
		}
		row.Vectors = vectors
		return visit(row, nil)
	})
}

// Close writes down what is there, and keeps it unless it is nothing.
func (p *Partial) Close() error {
	if p.lines == nil {
		return nil
	}
	err := errors.Join(p.flush(), p.features.Close(), p.lines.Close())
	p.lines = nil
	if p.pictures == 0 {
		return p.removeFiles()
	}
	return err
}

// Remove ends the Partial and deletes its files, which hold nothing that the features file does not have.
func (p *Partial) Remove() error {
	p.pictures = 0
	return p.Close()
}

// removeFiles leaves files that are not its own, and then the folder.
func (p *Partial) removeFiles() error {
	var failed error
	for _, name := range []string{partialIdentity, partialFeatures, partialLines} {
		if err := os.Remove(filepath.Join(p.folder, name)); !errors.Is(err, fs.ErrNotExist) {
			failed = errors.Join(failed, err)
		}
	}
	if _, err := atomicfile.RemoveLeftovers(p.folder); err != nil {
		failed = errors.Join(failed, err)
	}
	_ = os.Remove(p.folder) // fails while something else is in it
	return failed
}
