package tensorboard

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"os"
	"path/filepath"
	"slices"

	"google.golang.org/protobuf/encoding/protowire"
)

// A record of a TFRecord file is the length of its data (8 bytes), a checksum of the length (4), the data, and a checksum
// of the data (4), all little-endian.
const (
	lengthBytes   = 8
	checksumBytes = 4
	headBytes     = lengthBytes + checksumBytes
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// checksum is CRC-32C, rotated and shifted as TFRecord files want it, so that the checksum of data that holds checksums
// is no trivial one.
func checksum(data []byte) uint32 {
	sum := crc32.Checksum(data, castagnoli)
	return (sum>>15 | sum<<17) + 0xa282ead8
}

// frame makes a record of the data.
func frame(data []byte) []byte {
	record := binary.LittleEndian.AppendUint64(nil, uint64(len(data)))
	record = binary.LittleEndian.AppendUint32(record, checksum(record))
	record = append(record, data...)
	return binary.LittleEndian.AppendUint32(record, checksum(data))
}

var errTorn = errors.New("the record is torn or damaged")

// unframe takes the first record's data off a file's content.
func unframe(content []byte) (data, rest []byte, err error) {
	if len(content) < headBytes+checksumBytes {
		return nil, nil, errTorn
	}
	length := binary.LittleEndian.Uint64(content)
	if binary.LittleEndian.Uint32(content[lengthBytes:]) != checksum(content[:lengthBytes]) ||
		length > uint64(len(content)-headBytes-checksumBytes) {
		return nil, nil, errTorn
	}
	data, rest = content[headBytes:headBytes+length], content[headBytes+length:]
	if binary.LittleEndian.Uint32(rest) != checksum(data) {
		return nil, nil, errTorn
	}
	return data, rest[checksumBytes:], nil
}

// stepOf is the step of an encoded event; 0 if it has none.
func stepOf(data []byte) (int64, error) {
	for len(data) > 0 {
		field, kind, n := protowire.ConsumeTag(data)
		if n < 0 {
			return 0, protowire.ParseError(n)
		}
		data = data[n:]
		if field == eventStep && kind == protowire.VarintType {
			step, n := protowire.ConsumeVarint(data)
			return int64(step), protowire.ParseError(n)
		}
		if n = protowire.ConsumeFieldValue(field, kind, data); n < 0 {
			return 0, protowire.ParseError(n)
		}
		data = data[n:]
	}
	return 0, nil
}

// CutBack shortens the event files of a folder to the events up to a step and to what is whole, and lists the files in
// order. Events follow each other in the order of their steps. A folder that does not exist has no files.
func CutBack(folder string, step int64) (files []string, err error) {
	files, err = filepath.Glob(filepath.Join(folder, filePrefix+"*"+Extension))
	if err != nil {
		return nil, fmt.Errorf("tensorboard: %w", err)
	}
	slices.Sort(files)
	for _, path := range files {
		if err := cut(path, step); err != nil {
			return nil, fmt.Errorf("tensorboard: %w", err)
		}
	}
	return files, nil
}

func cut(path string, step int64) error {
	content, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	rest := content
	for len(rest) > 0 {
		data, after, err := unframe(rest)
		if err != nil {
			break
		}
		if at, err := stepOf(data); err != nil || at > step {
			break
		}
		rest = after
	}
	if len(rest) == 0 {
		return nil
	}
	return os.Truncate(path, int64(len(content)-len(rest)))
}
