package pretext

import (
	"strings"
	"testing"

	"pretrain/data"
	"pretrain/look"
)

// TestIllustrations gives every task that draws answers that are right or wrong throughout, in the order of rows that its
// head has, and looks at what the drawing says. The second picture of two is drawn, so that the rows of others do not pass
// for its own.
func TestIllustrations(t *testing.T) {
	rotation := &RotationConfig{Common: Common{1, 1}, Copies: 4}
	position := defaultsOf[*RelativePositionConfig](t, "relative_position")
	position.Pairs.Neighbours = 3
	location := defaultsOf[*PatchLocationConfig](t, "patch_location")
	for _, test := range []struct {
		name, network string
		params        Params
		classes, rows int // of the logits of a picture
		byView        bool
		right, wrong  string // what captions say; empty where the outcome says it
	}{
		{"rotation", "resnet18", rotation, 4, 4, true, "", ""},
		{"patch pairs", "resnet18", position, 8, 3, true, "", ""},
		{"token pairs", "vit", position, 9, 256, false, "16 of 16", "0 of 16"},
		{"patch location", "resnet18", location, 9, 1, false, "", ""},
		{"token location", "vit", location, 16, 3, false, "3 of 3", "0 of 3"},
	} {
		t.Run(test.name, func(t *testing.T) {
			env := testEnv(t, test.network)
			task := newTask(t, test.params, env)
			e := exhibit(t, task, env)
			for _, shift := range []int{0, 1} { // by which answers miss the truth
				e.Logits = answers(e.Target[:test.rows], test.classes, shift, test.byView)
				tiles, err := task.(Illustrator).Illustrate(e)
				if err != nil {
					t.Fatal(err)
				}
				checkTiles(t, tiles, shift == 0, []string{test.right, test.wrong}[shift])
			}
		})
	}
}

func defaultsOf[T Params](t *testing.T, name string) T {
	t.Helper()
	definition, err := Find(name)
	if err != nil {
		t.Fatal(err)
	}
	return definition.Defaults().(T)
}

// exhibit prepares the second picture of two.
func exhibit(t *testing.T, task Task, env Env) Exhibit {
	t.Helper()
	e := Exhibit{Sample: data.NewSample(testPicture(3), 1, 0, 3), Target: make([]float32, task.Spec().Target), Picture: 1, Pictures: 2}
	for _, view := range task.Spec().Views {
		canvas := newCanvas(env, view)
		e.Canvases = append(e.Canvases, canvas)
	}
	if err := task.Prepare(e.Sample, e.Canvases, e.Target); err != nil {
		t.Fatal(err)
	}
	for v, view := range task.Spec().Views {
		pixels := data.NewPixels(view.Side)
		if view.Plain != nil {
			copy(pixels.Data, e.Sample.Crop(*view.Plain, view.Side).Data)
		} else {
			env.Normalization.Invert(pixels, e.Canvases[v].Pixels)
		}
		e.Views = append(e.Views, pixels)
	}
	return e
}

// answers are logits of two pictures whose greatest one is the truth, or as many classes beyond it. The first picture's are
// always others.
func answers(truth []float32, classes, shift int, byView bool) []float32 {
	logits := make([]float32, 2*len(truth)*classes)
	for row, class := range truth {
		own, other := len(truth)+row, row
		if byView {
			own, other = 2*row+1, 2*row
		}
		logits[own*classes+(int(class)+shift)%classes] = 1
		logits[other*classes+(int(class)+1-shift)%classes] = 1
	}
	return logits
}

func checkTiles(t *testing.T, tiles []look.Tile, right bool, caption string) {
	t.Helper()
	answered := 0
	for _, tile := range tiles {
		if tile.Pixels == nil || tile.Caption == "" {
			t.Errorf("a tile %q without pixels or caption", tile.Caption)
		}
		if tile.Outcome != look.NoAnswer {
			answered++
			if tile.Outcome != look.OutcomeOf(right) {
				t.Errorf("%q counts as %s", tile.Caption, tile.Outcome)
			}
		}
		if caption != "" && strings.Contains(tile.Caption, caption) {
			answered++
		}
	}
	if answered == 0 {
		t.Errorf("no tile tells that right is %v: %+v", right, tiles)
	}
}

// TestColoursAreIllustrated: the truth is the crop that the lightness was taken of.
func TestColoursAreIllustrated(t *testing.T) {
	env := testEnv(t, "vit")
	task := newTask(t, defaultsOf[*ColorizationConfig](t, "colorization"), env)
	e := exhibit(t, task, env)
	colorizer, err := NewColorizer(task)
	if err != nil {
		t.Fatal(err)
	}
	e.Logits = make([]float32, 2*colorizer.Positions()*colorizer.Bins())
	tiles, err := task.(Illustrator).Illustrate(e)
	if err != nil || len(tiles) != 3 {
		t.Fatalf("%d tiles, %v", len(tiles), err)
	}
	for i := 0; i < len(tiles[2].Pixels.Data); i += 3 {
		p := tiles[2].Pixels.Data[i:]
		l, _, _ := data.RGBToLab(p[0], p[1], p[2])
		if seen := tiles[0].Pixels.Data[i]; seen-l/100 > 1e-4 || l/100-seen > 1e-4 {
			t.Fatalf("pixel %d: lightness %g was seen, the truth has %g", i/3, seen, l/100)
		}
	}
}

// TestEveryTaskDraws: the live page shows the answers of every task of the program.
func TestEveryTaskDraws(t *testing.T) {
	for _, network := range testNetworks {
		for _, definition := range Definitions() {
			env := testEnv(t, network)
			if _, ok := newTask(t, definition.Defaults(), env).(Illustrator); !ok {
				t.Errorf("%s on %s is no Illustrator", definition.Name, network)
			}
		}
	}
}
