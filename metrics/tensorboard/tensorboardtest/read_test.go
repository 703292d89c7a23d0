package tensorboardtest

import (
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"google.golang.org/protobuf/encoding/protowire"
)

// failing is a test that notes how it fails. Read must not find errors only in the writer that it is used on.
type failing struct {
	testing.TB
	why string
}

// failed ends a failing test, as the goroutine of a real one ends.
type failed struct{}

func (f *failing) Helper() {}

func (f *failing) Fatal(args ...any) { f.Fatalf("%s", fmt.Sprintln(args...)) }

func (f *failing) Fatalf(format string, args ...any) {
	f.why = fmt.Sprintf(format, args...)
	panic(failed{})
}

// read is what Read makes of a file, and why it fails.
func read(t *testing.T, content []byte) (events []Event, why string) {
	t.Helper()
	folder := t.TempDir()
	if err := os.WriteFile(filepath.Join(folder, "events.out.tfevents.1"), content, 0o644); err != nil {
		t.Fatal(err)
	}
	f := &failing{TB: t}
	defer func() {
		if p := recover(); p != nil && p != (failed{}) {
			panic(p)
		}
		why = f.why
	}()
	return Read(f, folder), ""
}

// framed is a TFRecord record, written after its description and not by the writer.
func framed(data []byte) []byte {
	masked := func(data []byte) uint32 {
		sum := crc32.Checksum(data, crc32.MakeTable(crc32.Castagnoli))
		return (sum>>15 | sum<<17) + 0xa282ead8
	}
	record := binary.LittleEndian.AppendUint64(nil, uint64(len(data)))
	record = binary.LittleEndian.AppendUint32(record, masked(record))
	return binary.LittleEndian.AppendUint32(append(record, data...), masked(data))
}

func field(message []byte, number protowire.Number, content []byte) []byte {
	return protowire.AppendBytes(protowire.AppendTag(message, number, protowire.BytesType), content)
}

// scalar is an event with one number.
func scalar(step uint64, tag string) []byte {
	value := protowire.AppendTag(field(nil, 1, []byte(tag)), 2, protowire.Fixed32Type)
	value = protowire.AppendFixed32(value, 0x3fc00000) // 1.5
	event := protowire.AppendVarint(protowire.AppendTag(nil, 2, protowire.VarintType), step)
	return field(event, 5, field(nil, 1, value))
}

func TestRead(t *testing.T) {
	session := field(nil, 7, protowire.AppendVarint(protowire.AppendTag(nil, 1, protowire.VarintType), 1))
	file := slices.Concat(framed(field(nil, 3, []byte("brain.Event:2"))), framed(session), framed(scalar(4, "loss")), framed(scalar(6, "loss")))
	events, why := read(t, file)
	if why != "" || len(events) != 4 || events[0].FileVersion != "brain.Event:2" || events[1].SessionLog.Status != "START" {
		t.Fatalf("%+v, %s", events, why)
	}
	if value := events[2].Summary.Value[0]; *value.SimpleValue != 1.5 || value.Histo != nil || value.Image != nil {
		t.Errorf("%+v", value)
	}
	if steps := Scalars(events); len(steps) != 1 || !slices.Equal(steps["loss"], []int64{4, 6}) {
		t.Errorf("steps %v", steps)
	}
	if events, why := read(t, nil); len(events) != 0 || why != "" {
		t.Errorf("an empty file has %d events, %s", len(events), why)
	}
}

// TestReadRefuses what TensorBoard would refuse, or leave out without a word.
func TestReadRefuses(t *testing.T) {
	whole := framed(scalar(4, "loss"))
	turned := func(at int) []byte {
		damaged := slices.Clone(whole)
		damaged[(at+len(damaged))%len(damaged)] ^= 1
		return damaged
	}
	for name, test := range map[string]struct {
		file []byte
		why  string
	}{
		"a torn head":                    {whole[:5], "torn"},
		"a torn end":                     {slices.Concat(whole, whole[:len(whole)-1]), "torn"},
		"a damaged length":               {turned(0), "checksum of 8 bytes"},
		"a damaged checksum":             {turned(-1), "checksum of"},
		"damaged data":                   {turned(14), "checksum of"},
		"no message":                     {framed([]byte{0xff}), "cannot parse"},
		"a field that events lack":       {framed(field(nil, 90, []byte("x"))), "Event has unknown fields"},
		"a field that summaries lack":    {framed(field(nil, 5, field(nil, 90, nil))), "Summary has unknown fields"},
		"a field that values lack":       {framed(field(nil, 5, field(nil, 1, field(nil, 90, nil)))), "Value has unknown fields"},
		"a field that session logs lack": {framed(field(nil, 7, field(nil, 90, nil))), "SessionLog has unknown fields"},
		"a tag that is no text":          {framed(field(nil, 5, field(nil, 1, field(nil, 1, []byte{0xff})))), "UTF-8"},
	} {
		if _, why := read(t, test.file); !strings.Contains(why, test.why) {
			t.Errorf("%s: fails with %q, want %q", name, why, test.why)
		}
	}
}
