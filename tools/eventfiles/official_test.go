package eventfiles

import (
	"image"
	"image/color"
	"math"
	"reflect"
	"testing"
	"time"

	official "github.com/helinwang/tfsum/tensorflow/core/util"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/runtime/protoimpl"

	"pretrain/metrics"
	"pretrain/metrics/tensorboard"
	"pretrain/metrics/tensorboard/tensorboardtest"
)

// definition is the message Event of TensorFlow's event.proto.
func definition() protoreflect.MessageDescriptor {
	return protoimpl.X.MessageDescriptorOf(new(official.Event))
}

// TestDefinitionsAreTensorFlows: every message, field and enumerated value that our tests read event files by is one of
// TensorFlow's, with its name, number, type and place.
func TestDefinitionsAreTensorFlows(t *testing.T) {
	compared := map[protoreflect.Name]bool{}
	compareMessages(t, tensorboardtest.Definition(t), definition(), compared)
	for _, name := range []protoreflect.Name{"Event", "SessionLog", "Summary", "Value", "Image", "HistogramProto"} {
		if !compared[name] {
			t.Errorf("%s was not compared", name)
		}
	}
}

func compareMessages(t *testing.T, ours, theirs protoreflect.MessageDescriptor, compared map[protoreflect.Name]bool) {
	if ours.Name() != theirs.Name() {
		t.Errorf("%s is %s at TensorFlow", ours.Name(), theirs.Name())
	}
	compared[ours.Name()] = true
	for i := range ours.Fields().Len() {
		field := ours.Fields().Get(i)
		other := theirs.Fields().ByNumber(field.Number())
		if other == nil {
			t.Errorf("%s has no field %d (%s) at TensorFlow", ours.Name(), field.Number(), field.Name())
			continue
		}
		compareFields(t, field, other)
		if field.Message() != nil && other.Message() != nil && !compared[field.Message().Name()] {
			compareMessages(t, field.Message(), other.Message(), compared)
		}
	}
}

func compareFields(t *testing.T, ours, theirs protoreflect.FieldDescriptor) {
	type properties struct {
		name, group protoreflect.Name
		kind        protoreflect.Kind
		cardinality protoreflect.Cardinality
		packed      bool
	}
	of := func(field protoreflect.FieldDescriptor) properties {
		p := properties{field.Name(), "", field.Kind(), field.Cardinality(), field.IsPacked()}
		if field.ContainingOneof() != nil {
			p.group = field.ContainingOneof().Name()
		}
		return p
	}
	if of(ours) != of(theirs) {
		t.Errorf("%s is %+v, at TensorFlow %+v", ours.FullName(), of(ours), of(theirs))
	}
	if ours.Enum() == nil || theirs.Enum() == nil {
		return
	}
	for i := range ours.Enum().Values().Len() {
		value := ours.Enum().Values().Get(i)
		if other := theirs.Enum().Values().ByNumber(value.Number()); other == nil || other.Name() != value.Name() {
			t.Errorf("%s = %d is %v at TensorFlow", value.Name(), value.Number(), other)
		}
	}
}

// TestFilesAreReadByTensorFlowsDefinitions: what the program writes has no field that event.proto does not have, and says by it
// what it says by our definitions.
func TestFilesAreReadByTensorFlowsDefinitions(t *testing.T) {
	folder := t.TempDir()
	for _, from := range []int64{0, 2} { // the second file is that of a run that goes on, with a message SessionLog
		write(t, folder, from)
	}
	events := tensorboardtest.ReadBy(t, folder, definition())
	if ours := tensorboardtest.Read(t, folder); !reflect.DeepEqual(events, ours) {
		t.Errorf("by TensorFlow's definitions\n%+v\nby ours\n%+v", events, ours)
	}
	var scalars, pictures, histograms, starts int
	for _, event := range events {
		if event.SessionLog != nil && event.SessionLog.Status == "START" {
			starts++
		}
		for _, value := range event.Summary.Value {
			switch {
			case value.SimpleValue != nil:
				scalars++
			case value.Image != nil:
				pictures++
			case value.Histo != nil:
				histograms++
			}
		}
	}
	if scalars == 0 || pictures != 2 || histograms != 2 || starts != 1 || events[0].FileVersion != "brain.Event:2" {
		t.Errorf("%d scalars, %d pictures, %d histograms, %d starts, %+v first", scalars, pictures, histograms, starts, events[0])
	}
}

// write writes every kind of event from a step on.
func write(t *testing.T, folder string, from int64) {
	w, err := tensorboard.Open(folder, from)
	if err != nil {
		t.Fatal(err)
	}
	picture := image.NewNRGBA(image.Rect(0, 0, 3, 2))
	picture.Set(1, 1, color.NRGBA{R: 200, G: 100, B: 50, A: 255})
	var h tensorboard.Histogram
	h.Add([]float32{-1, 0, 0.5, 1e-30, math.MaxFloat32}, 1)
	record := metrics.Record{Step: from + 1, Epoch: 1, Pictures: 64, Loss: 2.5, Time: time.Unix(1.7e9, 0)}
	for _, err := range []error{w.Append(record), w.Image(from+1, "views", picture), w.Histogram(from+1, "weights", &h), w.Close()} {
		if err != nil {
			t.Error(err)
		}
	}
}
