package main

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"time"
)

// audience is who looks at a training: a browser with its page open, and a Prometheus.
type audience struct {
	page  string        // address, with a slash at its end
	every time.Duration // between scrapes
}

// look looks until the context ends. What ends earlier is an error, even if the training ended it.
func (a audience) look(ctx context.Context) error {
	ended := make(chan error, 2)
	for _, f := range []func(context.Context) error{a.watch, a.scrape} {
		go func() {
			err := f(ctx)
			if ctx.Err() == nil {
				ended <- errors.Join(errors.New("who looks sees nothing any more"), err)
				return
			}
			ended <- nil
		}()
	}
	return errors.Join(<-ended, <-ended)
}

// watch reads the events of a page as a browser does. A browser would draw besides.
func (a audience) watch(ctx context.Context) error {
	response, err := get(ctx, a.page+"live/events")
	if err != nil {
		return err
	}
	defer response.Body.Close()
	lines := bufio.NewScanner(response.Body)
	lines.Buffer(nil, 64<<20)
	for lines.Scan() {
		if bytes.HasPrefix(lines.Bytes(), []byte("event: pictures")) {
			if err := fetch(ctx, a.page+"live/pictures.json"); err != nil {
				return err
			}
		}
	}
	return lines.Err()
}

// scrape reads the metrics again and again.
func (a audience) scrape(ctx context.Context) error {
	for ticker := time.NewTicker(a.every); ; {
		select {
		case <-ticker.C:
			if err := fetch(ctx, a.page+"metrics"); err != nil {
				return err
			}
		case <-ctx.Done():
			ticker.Stop()
			return nil
		}
	}
}

func fetch(ctx context.Context, address string) error {
	response, err := get(ctx, address)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	_, err = io.Copy(io.Discard, response.Body)
	return err
}

// get expects an answer with a body.
func get(ctx context.Context, address string) (*http.Response, error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, address, nil)
	if err != nil {
		return nil, err
	}
	response, err := http.DefaultClient.Do(request)
	if err == nil && response.StatusCode != http.StatusOK {
		response.Body.Close()
		return nil, fmt.Errorf("%s: %s", address, response.Status)
	}
	return response, err
}
