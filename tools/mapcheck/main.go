// Command mapcheck opens a page of `pretrain map` in headless Chromium, does with it what people do, and reports the time
// that a frame takes while it zooms:
//
//	go run ./mapcheck -page map.html [-screenshot map.png] [-dark]
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"log"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/cdproto/input"
	"github.com/chromedp/cdproto/runtime"
	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"
)

func main() {
	log.SetFlags(0)
	page := flag.String("page", "", "page of pretrain map")
	screenshot := flag.String("screenshot", "", "PNG of the page with a picture selected")
	dark := flag.Bool("dark", false, "ask for dark colours")
	flag.Parse()
	measured, err := check(context.Background(), *page, *dark)
	if err != nil {
		log.Fatal(err)
	}
	if *screenshot != "" {
		if err := os.WriteFile(*screenshot, measured.picture, 0o644); err != nil {
			log.Fatal(err)
		}
	}
	fmt.Printf("%d points, %d frames: median %.1f ms a frame, slowest %.1f ms\n", measured.points, measured.frames, measured.median, measured.slowest)
}

// measured is what a check found.
type measured struct {
	points, frames  int
	median, slowest float64 // milliseconds a frame
	picture         []byte  // PNG
}

// browsers are the names that Chromium goes by.
var browsers = []string{"chromium", "chromium-browser", "google-chrome"}

// browser finds one.
func browser() (string, error) {
	for _, name := range browsers {
		if path, err := exec.LookPath(name); err == nil {
			return path, nil
		}
	}
	return "", fmt.Errorf("none of %s is installed (Debian package chromium)", strings.Join(browsers, ", "))
}

// check uses a page as people do. Anything that the page says on its console is an error.
func check(ctx context.Context, page string, dark bool) (measured, error) {
	var m measured
	path, err := browser()
	if err != nil {
		return m, err
	}
	absolute, err := filepath.Abs(page)
	if err != nil {
		return m, err
	}
	options := append(chromedp.DefaultExecAllocatorOptions[:], chromedp.ExecPath(path), chromedp.NoSandbox, chromedp.WindowSize(1280, 800))
	ctx, cancel := context.WithTimeout(ctx, 3*time.Minute)
	defer cancel()
	ctx, closeBrowser := chromedp.NewExecAllocator(ctx, options...)
	defer closeBrowser()
	ctx, closeTab := chromedp.NewContext(ctx)
	defer closeTab()
	var said []string
	chromedp.ListenTarget(ctx, func(event any) {
		switch e := event.(type) {
		case *runtime.EventConsoleAPICalled:
			said = append(said, string(e.Type))
		case *runtime.EventExceptionThrown:
			said = append(said, e.ExceptionDetails.Error())
		}
	})
	scheme := "light"
	if dark {
		scheme = "dark"
	}
	err = chromedp.Run(ctx,
		emulation.SetEmulatedMedia().WithFeatures([]*emulation.MediaFeature{{Name: "prefers-color-scheme", Value: scheme}}),
		chromedp.EmulateViewport(1280, 800),
		chromedp.Navigate("file://"+absolute),
		chromedp.WaitVisible("#map"),
		chromedp.Poll(`document.getElementById("map").dataset.frames > 0`, nil),
		named("pointer", m.hoverAndSelect()), named("keys", m.useKeys()), named("search", m.search()),
		named("frames", m.measureFrames()), chromedp.CaptureScreenshot(&m.picture),
	)
	if err == nil && len(said) > 0 {
		err = fmt.Errorf("the page said on its console: %s", strings.Join(said, "; "))
	}
	return m, err
}

// patience is the time that each thing that is tried may take.
const patience = 30 * time.Second

// named bounds the time of an action and says in its errors what was tried.
func named(what string, action chromedp.Action) chromedp.Action {
	return chromedp.ActionFunc(func(ctx context.Context) error {
		ctx, cancel := context.WithTimeout(ctx, patience)
		defer cancel()
		if err := action.Do(ctx); err != nil {
			return fmt.Errorf("%s: %w", what, err)
		}
		return nil
	})
}

// raster is the distance in pixels between two places where the mouse looks for a picture.
const raster = 24

// hoverAndSelect finds a picture with the mouse and selects it.
func (m *measured) hoverAndSelect() chromedp.Action {
	return chromedp.ActionFunc(func(ctx context.Context) error {
		if err := chromedp.Evaluate(`JSON.parse(document.getElementById("data").textContent).x.length`, &m.points).Do(ctx); err != nil {
			return err
		}
		for y := 120.0; y < 760; y += raster {
			for x := 60.0; x < 940; x += raster {
				if err := input.DispatchMouseEvent(input.MouseMoved, x, y).Do(ctx); err != nil {
					return err
				}
				var hidden bool
				if err := chromedp.Evaluate(`document.getElementById("tip").hidden`, &hidden).Do(ctx); err != nil {
					return err
				}
				if !hidden {
					return m.selectAt(ctx, x, y)
				}
			}
		}
		return errors.New("no picture shows under the mouse anywhere")
	})
}

// selectAt clicks on the picture whose tip shows.
func (m *measured) selectAt(ctx context.Context, x, y float64) error {
	var tip string
	if err := chromedp.Evaluate(`document.getElementById("tip").dataset.point`, &tip).Do(ctx); err != nil {
		return err
	}
	if err := painted("#tip canvas").Do(ctx); err != nil {
		return fmt.Errorf("small picture under the mouse: %w", err)
	}
	if err := chromedp.MouseClickXY(x, y).Do(ctx); err != nil {
		return err
	}
	var selected string
	var near int
	err := chromedp.Run(ctx,
		chromedp.Evaluate(`document.getElementById("map").dataset.selected`, &selected),
		chromedp.Evaluate(`document.querySelectorAll("#near button").length`, &near),
	)
	if err == nil && (selected != tip || near < 2) {
		err = fmt.Errorf("a click on picture %s selects %q, with %d neighbours", tip, selected, near)
	}
	return err
}

// painted waits until a canvas shows something; a picture may have to be decoded first.
func painted(selector string) chromedp.Action {
	return chromedp.Poll(fmt.Sprintf(`(() => {
		const c = document.querySelector(%q);
		return c.getContext("2d").getImageData(0, 0, c.width, c.height).data.some((v) => v > 0);
	})()`, selector), nil, chromedp.WithPollingTimeout(10*time.Second))
}

// useKeys goes from picture to picture and to the first neighbour.
func (m *measured) useKeys() chromedp.Action {
	return chromedp.ActionFunc(func(ctx context.Context) error {
		visited := map[string]bool{}
		for _, key := range []string{kb.ArrowRight, kb.ArrowLeft, kb.ArrowUp, kb.ArrowDown} {
			var selected string
			err := chromedp.Run(ctx, chromedp.Focus("#map"), chromedp.KeyEvent(key), chromedp.Evaluate(`document.getElementById("map").dataset.selected`, &selected))
			if err != nil {
				return err
			}
			visited[selected] = true
		}
		if len(visited) < 2 {
			return fmt.Errorf("arrow keys visit %d pictures", len(visited))
		}
		var focused string
		press := input.DispatchKeyEvent(input.KeyRawDown).WithKey("Enter") // without the character, which would press the button
		err := chromedp.Run(ctx, press, chromedp.Sleep(100*time.Millisecond), chromedp.Evaluate(`document.activeElement.closest("ul")?.id || ""`, &focused))
		if err == nil && focused != "near" {
			err = fmt.Errorf("the enter key goes to %q, not to the neighbours", focused)
		}
		return err
	})
}

// search looks for the end of the path of the first picture and selects it.
func (m *measured) search() chromedp.Action {
	return chromedp.ActionFunc(func(ctx context.Context) error {
		var path, selected string
		err := chromedp.Run(ctx,
			chromedp.Evaluate(`JSON.parse(document.getElementById("data").textContent).paths[0]`, &path),
			chromedp.KeyEvent("/"), chromedp.KeyEvent(path[max(0, len(path)-12):]), chromedp.KeyEvent(kb.Enter), // into what the slash focuses
			chromedp.Evaluate(`document.getElementById("map").dataset.selected`, &selected),
			chromedp.KeyEvent(kb.Escape),
		)
		if err == nil && selected != "0" {
			err = fmt.Errorf("the search for %s selects %q", path, selected)
		}
		return err
	})
}

// measureFrames zooms in and out again at every frame and takes the times between them.
func (m *measured) measureFrames() chromedp.Action {
	const script = `new Promise((done) => {
		const canvas = document.getElementById("map"), box = canvas.getBoundingClientRect(), times = [];
		let last = performance.now();
		const tick = (now) => {
			times.push(now - last); last = now;
			if (times.length === 120) { document.getElementById("whole").click(); done(times); return; }
			canvas.dispatchEvent(new WheelEvent("wheel", { deltaY: times.length <= 60 ? -40 : 40, clientX: box.width / 2, clientY: box.height / 2, cancelable: true }));
			requestAnimationFrame(tick);
		};
		requestAnimationFrame(tick);
	})`
	return chromedp.ActionFunc(func(ctx context.Context) error {
		var times []float64
		await := func(p *runtime.EvaluateParams) *runtime.EvaluateParams { return p.WithAwaitPromise(true) }
		if err := chromedp.Evaluate(script, &times, await).Do(ctx); err != nil {
			return err
		}
		times = times[1:]
		slowest := 0.0
		for _, t := range times {
			slowest = max(slowest, t)
		}
		m.frames, m.median, m.slowest = len(times), median(times), slowest
		return chromedp.Sleep(200 * time.Millisecond).Do(ctx)
	})
}
