// Package browser drives a headless Chromium to look at the pages of runs as people do.
package browser

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"sync"
	"time"

	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/cdproto/log"
	"github.com/chromedp/cdproto/runtime"
	"github.com/chromedp/chromedp"
)

// Browser is a tab of a headless Chromium. Close it.
type Browser struct {
	ctx    context.Context
	cancel []context.CancelFunc
	mutex  sync.Mutex
	errors []string
}

// Path is where Chromium is installed; empty if it is not.
func Path() string {
	for _, name := range []string{"chromium", "chromium-browser", "google-chrome"} {
		if path, err := exec.LookPath(name); err == nil {
			return path
		}
	}
	return ""
}

// Open starts Chromium. What the console or the log of the browser reports as an error is collected; see Errors.
func Open(ctx context.Context) (*Browser, error) {
	options := append(chromedp.DefaultExecAllocatorOptions[:], chromedp.ExecPath(Path()), chromedp.NoSandbox, chromedp.WSURLReadTimeout(time.Minute))
	allocator, cancelAllocator := chromedp.NewExecAllocator(ctx, options...)
	tab, cancelTab := chromedp.NewContext(allocator)
	b := &Browser{ctx: tab, cancel: []context.CancelFunc{cancelTab, cancelAllocator}}
	chromedp.ListenTarget(tab, b.listen)
	return b, chromedp.Run(tab)
}

func (b *Browser) listen(event any) {
	switch event := event.(type) {
	case *runtime.EventExceptionThrown:
		b.note(event.ExceptionDetails.Error())
	case *runtime.EventConsoleAPICalled:
		if event.Type == runtime.APITypeError || event.Type == runtime.APITypeWarning {
			var words []string
			for _, argument := range event.Args {
				words = append(words, string(argument.Value)+argument.Description)
			}
			b.note(strings.Join(words, " "))
		}
	case *log.EventEntryAdded:
		if event.Entry.Level == log.LevelError || event.Entry.Level == log.LevelWarning {
			b.note(event.Entry.Text + " " + event.Entry.URL)
		}
	}
}

func (b *Browser) note(text string) {
	b.mutex.Lock()
	defer b.mutex.Unlock()
	b.errors = append(b.errors, text)
}

// Errors are the errors and warnings so far.
func (b *Browser) Errors() []string {
	b.mutex.Lock()
	defer b.mutex.Unlock()
	return append([]string(nil), b.errors...)
}

// Close ends Chromium.
func (b *Browser) Close() {
	for _, cancel := range b.cancel {
		cancel()
	}
}

// View opens an address in a window of the given width, dark or light.
func (b *Browser) View(address string, width int, dark bool) error {
	scheme := "light"
	if dark {
		scheme = "dark"
	}
	return chromedp.Run(b.ctx,
		emulation.SetDeviceMetricsOverride(int64(width), 900, 1, width < 600),
		emulation.SetEmulatedMedia().WithFeatures([]*emulation.MediaFeature{{Name: "prefers-color-scheme", Value: scheme}}),
		chromedp.Navigate(address), chromedp.WaitReady("main"),
	)
}

// Leave closes the page, so that it asks its server for nothing any more.
func (b *Browser) Leave() error { return chromedp.Run(b.ctx, chromedp.Navigate("about:blank")) }

// Evaluate is the value of an expression of JavaScript.
func (b *Browser) Evaluate(expression string, value any) error {
	return chromedp.Run(b.ctx, chromedp.Evaluate(expression, value))
}

// WaitFor waits until an expression is true.
func (b *Browser) WaitFor(expression string, patience time.Duration) error {
	for end := time.Now().Add(patience); ; time.Sleep(200 * time.Millisecond) {
		var holds bool
		if err := b.Evaluate(expression, &holds); err != nil {
			return err
		}
		if holds {
			return nil
		}
		if time.Now().After(end) {
			return fmt.Errorf("%s did not become true in %v", expression, patience)
		}
	}
}

// Shoot writes a PNG of the whole page, or of its first so many pixels if height is not 0.
func (b *Browser) Shoot(path string, height int) error {
	var picture []byte
	action := chromedp.FullScreenshot(&picture, 100)
	if height > 0 {
		action = chromedp.CaptureScreenshot(&picture)
	}
	if err := chromedp.Run(b.ctx, chromedp.Sleep(time.Second), action); err != nil {
		return err
	}
	return os.WriteFile(path, picture, 0o644)
}
