package browser

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"pretrain/configs"
	"pretrain/run"
	"pretrain/sample"
	"pretrain/train"
)

const patience = 3 * time.Minute

// needBrowser skips aloud where there is no Chromium, unless REQUIRE_TOOLS says that there must be one.
func needBrowser(t *testing.T) {
	t.Helper()
	if Path() == "" {
		if os.Getenv("REQUIRE_TOOLS") != "" {
			t.Fatal("REQUIRE_TOOLS is set, but there is no chromium")
		}
		t.Skip("not tested: the pages in a browser (Debian package chromium)")
	}
}

// console waits for the address of the page.
type console struct {
	mutex sync.Mutex
	text  string
	found chan string
}

var pageAddress = regexp.MustCompile(`http://127\.0\.0\.1:\d+/`)

func (c *console) Write(line []byte) (int, error) {
	c.mutex.Lock()
	defer c.mutex.Unlock()
	c.text += string(line)
	if address := pageAddress.FindString(string(line)); address != "" && c.found != nil {
		c.found <- address
		c.found = nil
	}
	return len(line), nil
}

// startTraining trains a small run on all tasks, for longer than anybody looks, and returns the address of its page and a
// function that stops it.
func startTraining(t *testing.T, directory string) (address string, stop func()) {
	t.Helper()
	pictures := t.TempDir()
	if err := sample.Extract(pictures); err != nil {
		t.Fatal(err)
	}
	source := configs.Source{Name: "quickstart"}
	for key, value := range map[string]string{
		"data.path": filepath.Join(pictures, "train"), "data.max_pictures": "128", "backbone.vit.depth": "2", "backbone.vit.width": "48",
		"train.batch_size": "16", "train.epochs": "1000", "logging.every_steps": "2", "metrics.address": "127.0.0.1:0",
		"metrics.inspect_every_steps": "8", "train.calibration_pictures": "16",
	} {
		source.Overrides = append(source.Overrides, configs.Override{Flag: "--set", Path: key, Value: value})
	}
	resolved, err := configs.Load(source)
	if err != nil {
		t.Fatal(err)
	}
	out, ended := &console{found: make(chan string, 1)}, make(chan error, 1)
	found := out.found
	ctx, cancel := context.WithCancel(t.Context())
	go func() { ended <- run.Train(ctx, resolved, run.TrainOptions{Directory: directory, Console: out}) }()
	t.Cleanup(cancel)
	select {
	case address = <-found:
	case err := <-ended:
		t.Fatalf("the training ended: %v\n%s", err, out.text)
	}
	return address, func() {
		cancel()
		if err, told := <-ended, (*train.Interrupted)(nil); !errors.As(err, &told) {
			t.Errorf("the training ended with %v, not because it was stopped", err)
		}
	}
}

func open(t *testing.T) *Browser {
	t.Helper()
	b, err := Open(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(b.Close)
	return b
}

// check fails on what must hold of every page: nothing on the console, no sideways scrolling, every picture described.
func (b *Browser) check(t *testing.T, when string) {
	t.Helper()
	if errors := b.Errors(); len(errors) > 0 {
		t.Errorf("%s: the console says %q", when, errors)
	}
	for expression, complaint := range map[string]string{
		"document.documentElement.scrollWidth > innerWidth":                                            "it is wider than the window",
		"[...document.images].some((i) => !i.alt || i.naturalWidth === 0)":                             "a picture is broken or has no description",
		"!document.querySelector('main') || !document.querySelector('header h1')":                      "it has no landmarks",
		"[...document.querySelectorAll('table')].some((t) => t.rows.length && !t.querySelector('th'))": "a table has no headings",
	} {
		var bad bool
		if err := b.Evaluate(expression, &bad); err != nil || bad {
			t.Errorf("%s: %s %v", when, complaint, err)
		}
	}
}

// TestPages looks at a training while it goes on, in a desktop and in a phone, light and dark: curves grow, pictures come,
// and the console has nothing to say. SCREENSHOTS names a folder that keeps what was seen. The report of the run
// is looked at afterwards.
func TestPages(t *testing.T) {
	needBrowser(t)
	shots := os.Getenv("SCREENSHOTS")
	if shots == "" {
		shots = t.TempDir()
	}
	directory := filepath.Join(t.TempDir(), "run")
	address, stop := startTraining(t, directory)
	b := open(t)
	look := func(name, address string, width int, dark bool) {
		t.Helper()
		if err := b.View(address, width, dark); err != nil {
			t.Fatal(err)
		}
		if err := b.WaitFor("document.querySelectorAll('.plot canvas').length > 8", patience); err != nil {
			t.Fatal(err)
		}
		if err := b.Shoot(filepath.Join(shots, name+".png"), 0); err != nil {
			t.Error(err)
		}
		b.check(t, name)
	}
	look("live-desktop", address, 1280, false)
	grows(t, b)
	look("live-phone", address, 390, false)
	look("live-phone-dark", address, 390, true)
	var cut []string
	legends := "[...document.querySelectorAll('.card table:not(.matrix)')].filter((t) => t.scrollWidth > t.parentElement.clientWidth)"
	if err := b.Evaluate(legends+".map((t) => t.innerText)", &cut); err != nil || len(cut) > 0 {
		t.Errorf("on a phone these legends are cut off: %q, %v", cut, err)
	}
	if err := b.WaitFor("document.querySelectorAll('.sheet img').length > 20", patience); err != nil {
		t.Error(err)
	}
	b.check(t, "with pictures")
	if err := b.Leave(); err != nil { // a live page would ask on, and be refused
		t.Fatal(err)
	}
	stop()
	report := "file://" + filepath.Join(directory, "report.html")
	look("report-desktop-dark", report, 1280, true)
	look("report-phone", report, 390, false)
	var shown string
	if err := b.Evaluate("document.body.innerText", &shown); err != nil {
		t.Fatal(err)
	}
	for _, part := range []string{"Gradient conflicts", "Nearest neighbours", "Attention", "relative_position", "Configuration", "interrupted"} {
		if !strings.Contains(shown, part) {
			t.Errorf("the report does not show %s", part)
		}
	}
}

// grows waits until the page shows more steps, and the curves more of them, than it showed.
func grows(t *testing.T, b *Browser) {
	t.Helper()
	var before string
	step := "document.querySelector('.numbers dd').textContent"
	if err := b.Evaluate(step, &before); err != nil {
		t.Fatal(err)
	}
	if err := b.WaitFor(fmt.Sprintf("%s !== %q", step, before), patience); err != nil {
		t.Error(err)
	}
}
