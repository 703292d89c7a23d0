// Package tensorboardtest reads event files for tests, by the definitions of their messages and with parsers that share no
// code with the writer.
package tensorboardtest

import (
	"bytes"
	"context"
	_ "embed"
	"encoding/binary"
	"encoding/json"
	"hash/crc32"
	"os"
	"path/filepath"
	"testing"

	"github.com/bufbuild/protocompile"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/types/dynamicpb"
)

//go:embed events.proto
var definitions string

// Event is a message Event, as protobuf's JSON has it.
type Event struct {
	WallTime    float64
	Step        int64 `json:",string"`
	FileVersion string
	SessionLog  *struct{ Status string }
	Summary     struct{ Value []Value }
}

// Value is a message Summary.Value.
type Value struct {
	Tag         string
	SimpleValue *float64
	Image       *struct {
		Height, Width, Colorspace int
		EncodedImageString        []byte
	}
	Histo *struct {
		Min, Max, Num, Sum, SumSquares float64
		BucketLimit, Bucket            []float64
	}
}

// Read reads the events of all files in a folder, in the order of their names. A wrong checksum, a torn record, a message
// that does not parse and a field that is not defined fail the test.
func Read(t testing.TB, folder string) []Event {
	t.Helper()
	return ReadBy(t, folder, Definition(t))
}

// ReadBy is Read by another definition of the message Event.
func ReadBy(t testing.TB, folder string, event protoreflect.MessageDescriptor) (events []Event) {
	t.Helper()
	paths, err := filepath.Glob(filepath.Join(folder, "*tfevents*"))
	if err != nil {
		t.Fatal(err)
	}
	for _, path := range paths {
		content, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		for reader := bytes.NewReader(content); reader.Len() > 0; {
			events = append(events, parse(t, event, record(t, reader)))
		}
	}
	return events
}

// record reads one record of a TFRecord file.
func record(t testing.TB, r *bytes.Reader) []byte {
	t.Helper()
	var length uint64
	var sum uint32
	read := func(to any) {
		if err := binary.Read(r, binary.LittleEndian, to); err != nil {
			t.Fatalf("a record is torn: %v", err)
		}
	}
	check := func(data []byte) {
		read(&sum)
		rotated := sum - 0xa282ead8
		if got := crc32.Checksum(data, crc32.MakeTable(crc32.Castagnoli)); got != rotated>>17|rotated<<15 {
			t.Fatalf("the checksum of %d bytes is %#x, told is %#x", len(data), got, sum)
		}
	}
	read(&length)
	check(binary.LittleEndian.AppendUint64(nil, length))
	data := make([]byte, length)
	read(data)
	check(data)
	return data
}

// Definition is that of the message Event in events.proto.
func Definition(t testing.TB) protoreflect.MessageDescriptor {
	t.Helper()
	const name = "events.proto"
	compiler := protocompile.Compiler{Resolver: &protocompile.SourceResolver{
		Accessor: protocompile.SourceAccessorFromMap(map[string]string{name: definitions}),
	}}
	files, err := compiler.Compile(context.Background(), name)
	if err != nil {
		t.Fatal(err)
	}
	return files[0].Messages().ByName("Event")
}

func parse(t testing.TB, of protoreflect.MessageDescriptor, data []byte) (event Event) {
	t.Helper()
	message := dynamicpb.NewMessage(of)
	if err := proto.Unmarshal(data, message); err != nil {
		t.Fatal(err)
	}
	checkKnown(t, message)
	text, err := protojson.Marshal(message)
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(text, &event); err != nil {
		t.Fatalf("%s: %v", text, err)
	}
	return event
}

// checkKnown fails the test where a message, or one in it, has fields that its definition lacks.
func checkKnown(t testing.TB, message protoreflect.Message) {
	t.Helper()
	if unknown := message.GetUnknown(); len(unknown) > 0 {
		t.Fatalf("%s has unknown fields: % x", message.Descriptor().Name(), unknown)
	}
	message.Range(func(field protoreflect.FieldDescriptor, value protoreflect.Value) bool {
		switch {
		case field.Message() == nil:
		case field.IsList():
			for i := range value.List().Len() {
				checkKnown(t, value.List().Get(i).Message())
			}
		default:
			checkKnown(t, value.Message())
		}
		return true
	})
}

// Scalars lists, by tag, the steps at which a number was written, in order.
func Scalars(events []Event) map[string][]int64 {
	steps := map[string][]int64{}
	for _, event := range events {
		for _, value := range event.Summary.Value {
			if value.SimpleValue != nil {
				steps[value.Tag] = append(steps[value.Tag], event.Step)
			}
		}
	}
	return steps
}
