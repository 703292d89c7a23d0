package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"syscall"
	"testing"
)

func TestASignalIsTheCauseOfTheContextsEnd(t *testing.T) {
	for _, signal := range []syscall.Signal{syscall.SIGINT, syscall.SIGTERM} {
		ctx, stop := untilSignal(context.Background())
		if err := syscall.Kill(os.Getpid(), signal); err != nil {
			t.Fatal(err)
		}
		<-ctx.Done()
		stop()
		var cause *signalError
		if !errors.As(context.Cause(ctx), &cause) || cause.signal != signal {
			t.Errorf("cause is %v, want %v", context.Cause(ctx), signal)
		}
	}
}

func TestStopEndsTheContextWithoutASignal(t *testing.T) {
	ctx, stop := untilSignal(context.Background())
	stop()
	<-ctx.Done()
	if cause := context.Cause(ctx); !errors.Is(cause, context.Canceled) {
		t.Errorf("cause is %v", cause)
	}
}

// waitForever is a program that takes the first signal and then never ends by itself.
func waitForever() {
	ctx, stop := untilSignal(context.Background())
	defer stop()
	fmt.Println("ready")
	<-ctx.Done()
	fmt.Println("first signal")
	select {}
}

func TestTheSecondSignalKills(t *testing.T) {
	program, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	child := exec.Command(program)
	child.Env = append(os.Environ(), childVariable+"=1")
	output, err := child.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := child.Start(); err != nil {
		t.Fatal(err)
	}
	lines := bufio.NewScanner(output)
	for lines.Scan() { // a line tells that the child waits for the next signal
		if err := child.Process.Signal(syscall.SIGTERM); err != nil {
			t.Fatal(err)
		}
	}
	var exit *exec.ExitError
	if err := child.Wait(); !errors.As(err, &exit) || exit.Sys().(syscall.WaitStatus).Signal() != syscall.SIGTERM {
		t.Errorf("the child ended with %v, want death by SIGTERM", err)
	}
}
