// Package checkpoints saves and loads everything a run needs to go on exactly where it stood.
//
// A checkpoint is one safetensors file, described byte by byte in FORMAT.md. That container was chosen because
// the tensors of a run that can no longer be started, or of a program that is long gone, still open with any
// safetensors reader; what the container lacks (a version, checksums, the run's numbers) fits in its metadata.
//
// A file named *.ckpt is always whole: it is written under another name, synced and renamed. Load checks every
// byte and refuses what is damaged, foreign or newer. The package knows nothing about models: which tensors there
// are, and what their names mean, is between the caller that saves and the caller that loads.
package checkpoints

import (
	"encoding/json"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"math"
	"os"
	"strconv"
	"strings"

	"pretrain/internal/atomicfile"
	"pretrain/internal/tensorfile"
)

// Version is the format version that Save writes, and the newest that Load understands.
const Version = 1

// Keys of the container's metadata; FORMAT.md gives their meaning.
const (
	format       = "pretrain.checkpoint"
	keyFormat    = "format"
	keyVersion   = "version"
	keyState     = "state"
	keyTensors   = "tensors_crc32c"
	keyChecksum  = "header_crc32c"
	zeroChecksum = "00000000" // stands in the header while its checksum is computed
)

// Tensor is a named float32 array: weights, optimizer moments, normalisation statistics, the state of a task.
type Tensor = tensorfile.Tensor

// Info is what a checkpoint holds besides tensors. All counts are since the start of the run, over all resumptions.
type Info struct {
	Step     int64 `json:"step"`     // optimizer steps done
	Epoch    int64 `json:"epoch"`    // epochs completed
	Position int64 `json:"position"` // batches taken from the epoch under way
	Pictures int64 `json:"pictures"` // pictures seen
	Views    int64 `json:"views"`    // views of pictures that passed the backbone

	// Score ranks checkpoints, higher is better (accuracy of the online probe, a ratio); nil where none was measured.
	Score *float64 `json:"score,omitempty"`
	// Meta holds the caller's own strings, such as the configuration's fingerprint and the kernel family.
	Meta map[string]string `json:"meta,omitempty"`
}

// State is a whole checkpoint. Save only reads it; the slices of a loaded one belong to the caller.
type State struct {
	Info
	Tensors []Tensor
}

// Tensor finds a tensor by name.
func (s State) Tensor(name string) (Tensor, bool) {
	for _, t := range s.Tensors {
		if t.Name == name {
			return t, true
		}
	}
	return Tensor{}, false
}

// VersionError says that a whole, undamaged checkpoint was written by a newer program.
type VersionError struct {
	Path  string
	Found int
}

// Error names the file, both versions and the remedy.
func (e *VersionError) Error() string {
	return fmt.Sprintf("checkpoint %s has format version %d, newer than the %d that this program knows: use the newer program",
		e.Path, e.Found, Version)
}

// Save writes state to path, replacing a file of that name, and returns the file's size in bytes. The bytes depend
// on the state only. Whatever goes wrong, path names either what it named before or the new checkpoint, whole.
func Save(path string, state State) (size int64, err error) {
	err = atomicfile.Write(path, true, func(w io.Writer) error {
		counted := &countingWriter{w: w}
		err := encode(counted, state)
		size = counted.bytes
		return err
	})
	if err != nil {
		return 0, fmt.Errorf("checkpoint: %w", err)
	}
	return size, nil
}

func encode(w io.Writer, state State) error {
	metadata, err := describe(state)
	if err != nil {
		return err
	}
	header, err := tensorfile.Header(state.Tensors, metadata)
	if err != nil {
		return err
	}
	if _, err := w.Write(seal(header)); err != nil {
		return err
	}
	return tensorfile.WriteData(w, state.Tensors)
}

// describe makes the container's metadata, the header's own checksum still zero.
func describe(state State) (map[string]string, error) {
	if state.Score != nil && (math.IsNaN(*state.Score) || math.IsInf(*state.Score, 0)) {
		return nil, fmt.Errorf("score is %v: must be a finite number, or nil for none", *state.Score)
	}
	info, err := json.Marshal(state.Info)
	if err != nil {
		return nil, err
	}
	sums := make(map[string]string, len(state.Tensors))
	for _, t := range state.Tensors {
		sums[t.Name] = checksumText(tensorfile.Checksum(t.Data))
	}
	checksums, err := json.Marshal(sums)
	if err != nil {
		return nil, err
	}
	return map[string]string{
		keyFormat:   format,
		keyVersion:  strconv.Itoa(Version),
		keyState:    string(info),
		keyTensors:  string(checksums),
		keyChecksum: zeroChecksum,
	}, nil
}

// seal writes a header's own checksum into it.
func seal(header []byte) []byte { return withChecksum(header, checksumText(headerChecksum(header))) }

// headerChecksum is the CRC-32C of header as it is with zeros in place of its own checksum.
func headerChecksum(header []byte) uint32 {
	return crc32.Checksum(withChecksum(header, zeroChecksum), tensorfile.Castagnoli)
}

// withChecksum returns header with the value of its own checksum replaced. The searched text cannot stand elsewhere:
// inside any JSON string its quotes would be escaped.
func withChecksum(header []byte, checksum string) []byte {
	field := `"` + keyChecksum + `":"`
	before, after, found := strings.Cut(string(header), field)
	if !found || len(after) < len(checksum) {
		return header
	}
	return []byte(before + field + checksum + after[len(checksum):])
}

func checksumText(sum uint32) string { return fmt.Sprintf("%08x", sum) }

// Load reads the checkpoint path and checks all of it: container, version, checksum of the header and of each tensor.
// Errors name the file and the tensor, what was expected and what was found; a newer format gives a *VersionError.
func Load(path string) (State, error) {
	var state State
	err := open(path, func(r *tensorfile.Reader) error {
		var err error
		state, err = decode(r)
		return err
	})
	return state, err
}

// ReadInfo is Load without the tensors: it reads and checks the header only.
func ReadInfo(path string) (Info, error) {
	var info Info
	err := open(path, func(r *tensorfile.Reader) error {
		var err error
		info, _, err = decodeHeader(r)
		return err
	})
	return info, err
}

// open gives read the checkpoint's reader and completes its error with the path.
func open(path string, read func(*tensorfile.Reader) error) error {
	f, err := os.Open(path)
	if err != nil {
		return fmt.Errorf("checkpoint: %w", err)
	}
	defer f.Close()
	stat, err := f.Stat()
	if err != nil {
		return fmt.Errorf("checkpoint: %w", err)
	}
	r, err := tensorfile.NewReader(f, stat.Size())
	if err == nil {
		err = read(r)
	}
	if newer := (*VersionError)(nil); errors.As(err, &newer) {
		newer.Path = path
		return newer
	}
	if err != nil {
		return fmt.Errorf("checkpoint %s cannot be used: %w", path, err)
	}
	return nil
}

func decode(r *tensorfile.Reader) (State, error) {
	info, checksums, err := decodeHeader(r)
	if err != nil {
		return State{}, err
	}
	state := State{Info: info}
	for r.Len() > 0 {
		t, err := r.Next()
		if err != nil {
			return State{}, err
		}
		if found := checksumText(tensorfile.Checksum(t.Data)); found != checksums[t.Name] {
			return State{}, fmt.Errorf("tensor %q is damaged: expected checksum %q, found %q", t.Name, checksums[t.Name], found)
		}
		state.Tensors = append(state.Tensors, t)
	}
	return state, nil
}

func decodeHeader(r *tensorfile.Reader) (info Info, checksums map[string]string, err error) {
	if err := checkHeader(r); err != nil {
		return Info{}, nil, err
	}
	if err := json.Unmarshal([]byte(r.Metadata[keyState]), &info); err != nil {
		return Info{}, nil, fmt.Errorf("metadata %q: %w", keyState, err)
	}
	if err := json.Unmarshal([]byte(r.Metadata[keyTensors]), &checksums); err != nil {
		return Info{}, nil, fmt.Errorf("metadata %q: %w", keyTensors, err)
	}
	if len(checksums) != r.Len() {
		return Info{}, nil, fmt.Errorf("expected %d tensors, found %d", len(checksums), r.Len())
	}
	return info, checksums, nil
}

// checkHeader looks at the checksum before the version, so that a damaged version is not taken for a newer one.
func checkHeader(r *tensorfile.Reader) error {
	if found := r.Metadata[keyFormat]; found != format {
		return fmt.Errorf("it is a safetensors file, but no checkpoint: expected format %q, found %q", format, found)
	}
	expected := r.Metadata[keyChecksum]
	found := checksumText(headerChecksum(r.Header))
	if found != expected {
		return fmt.Errorf("header is damaged: expected checksum %q, found %q", expected, found)
	}
	version, err := strconv.Atoi(r.Metadata[keyVersion])
	if err != nil || version < 1 {
		return fmt.Errorf("format version is %q: expected a number from 1 to %d", r.Metadata[keyVersion], Version)
	}
	if version > Version {
		return &VersionError{Found: version}
	}
	return nil
}

type countingWriter struct {
	w     io.Writer
	bytes int64
}

func (c *countingWriter) Write(p []byte) (int, error) {
	n, err := c.w.Write(p)
	c.bytes += int64(n)
	return n, err
}
