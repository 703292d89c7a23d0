package main

import (
	"context"
	"os"
	"os/signal"
	"syscall"
)

// signalError is the cause of a context that was ended by a signal.
type signalError struct{ signal syscall.Signal }

func (e *signalError) Error() string { return "stopped by " + signalNames[e.signal] }

var signalNames = map[syscall.Signal]string{syscall.SIGINT: "SIGINT", syscall.SIGTERM: "SIGTERM"}

// untilSignal returns a context that SIGINT or SIGTERM ends, with a *signalError as its cause, so that the work can be
// brought to an orderly end. A second signal kills the process at once. stop gives the signals back and ends the
// goroutine that waits for them.
func untilSignal(parent context.Context) (ctx context.Context, stop func()) {
	ctx, cancel := context.WithCancelCause(parent)
	received := make(chan os.Signal, 1)
	signal.Notify(received, syscall.SIGINT, syscall.SIGTERM)
	go func() {
		select {
		case caught := <-received:
			signal.Stop(received)
			number, _ := caught.(syscall.Signal)
			cancel(&signalError{number})
		case <-ctx.Done():
		}
	}()
	return ctx, func() {
		signal.Stop(received)
		cancel(nil)
	}
}
