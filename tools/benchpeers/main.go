// Command benchpeers holds pretrain against PyTorch on the machine at hand and prints the ratios as a Markdown table:
//
//	go run ./benchpeers -pretrain ../bin/pretrain [-models vit_t4_32,resnet50] [-modes train] [-precisions fp32] [-repetitions 3]
//
// Both run alternately, each row in a process of its own, so that a change of the machine's pace meets both. The peer is
// tuned as far as its settings go: memory is never given back to the system, without which it is two to four times
// slower, OpenBLAS uses OpenMP, residual networks are channels-last. Without PyTorch (Debian package python3-torch)
// nothing is measured.
package main

import (
	"context"
	"flag"
	"fmt"
	"io"
	"log"
	"os"
	"os/signal"
	"runtime"
	"strings"
)

// options are the flags.
type options struct {
	pretrain, python, peer    string
	models, modes, precisions []string
	repetitions, threads      int
	seconds                   float64
}

func main() {
	log.SetFlags(log.Ltime)
	o := options{}
	flag.StringVar(&o.pretrain, "pretrain", "../bin/pretrain", "the program")
	flag.StringVar(&o.python, "python", "/usr/bin/python3", "Python with PyTorch")
	flag.StringVar(&o.peer, "peer", "benchpeers/peer.py", "the peer's side")
	models := flag.String("models", "vit_t4_32,vit_t16_96,vit_s16_224,resnet18_c,resnet50,pretext", "standard models")
	modes := flag.String("modes", "train,features", "modes")
	precisions := flag.String("precisions", "fp32,bf16", "precisions")
	flag.IntVar(&o.repetitions, "repetitions", 2, "how often each row is measured on both sides; the median counts")
	flag.IntVar(&o.threads, "threads", runtime.NumCPU(), "compute threads of both")
	flag.Float64Var(&o.seconds, "seconds", 10, "seconds that the steps of a row are timed")
	flag.Parse()
	o.models, o.modes, o.precisions = strings.Split(*models, ","), strings.Split(*modes, ","), strings.Split(*precisions, ",")
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if err := compare(ctx, os.Stdout, o); err != nil {
		log.Fatal(err)
	}
}

// check reports numbers out of range: a peer would take some of them for something else.
func (o options) check() error {
	switch {
	case o.repetitions < 1:
		return fmt.Errorf("-repetitions is %d: it must be at least 1", o.repetitions)
	case o.threads < 1:
		return fmt.Errorf("-threads is %d: it must be at least 1", o.threads)
	case !(o.seconds > 0):
		return fmt.Errorf("-seconds is %v: it must be above 0", o.seconds)
	}
	return nil
}

// compare measures everything and prints the table, each row when it is there.
func compare(ctx context.Context, w io.Writer, o options) error {
	if err := o.check(); err != nil {
		return err
	}
	version, err := torchVersion(ctx, o.python)
	if err != nil {
		_, err = fmt.Fprintf(w, "skipped: %s has no PyTorch (Debian package python3-torch): %v\n", o.python, err)
		return err
	}
	if _, err := io.WriteString(w, heading(version)); err != nil {
		return err
	}
	for _, pair := range pairs(o) {
		if err := pair.measure(ctx, o); err != nil {
			return err
		}
		if _, err := io.WriteString(w, pair.line()); err != nil {
			return err
		}
	}
	return nil
}
