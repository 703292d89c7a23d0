// Command look draws what a run sees and answers, as one sheet of pictures for people to look at:
//
//	go run ./look -run RUN -data DIR -out FILE.png [-count 8] [-what colours|attention|tasks]
//
// colours shows the lightness that the colorization task sees, the colours that it predicts, and the truth; attention
// shows where the last blocks of a ViT look; tasks shows the views of every task as training prepares them. The
// pictures are spread evenly over DIR. A name that ends in .jpg gives a smaller file.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"log"
	"strings"

	"pretrain/internal/atomicfile"
	"pretrain/look"
)

// kinds are the sheets by name.
var kinds = map[string]func(context.Context, *run, options) (look.Sheet, error){
	"colours": colours, "attention": attention, "tasks": tasks,
}

// options are the flags.
type options struct {
	run, data, out, what string
	count                int // pictures
}

func main() {
	log.SetFlags(0)
	var o options
	flag.StringVar(&o.run, "run", "", "directory of a run")
	flag.StringVar(&o.data, "data", "", "folder or list file of pictures")
	flag.StringVar(&o.out, "out", "", "the sheet, .png or .jpg")
	flag.StringVar(&o.what, "what", "tasks", "colours, attention or tasks")
	flag.IntVar(&o.count, "count", 8, "pictures")
	flag.Parse()
	if err := draw(context.Background(), o); err != nil {
		log.Fatal(err)
	}
}

// draw makes one sheet.
func draw(ctx context.Context, o options) error {
	if err := o.check(); err != nil {
		return err
	}
	r, err := open(o.run)
	if err != nil {
		return err
	}
	defer r.close()
	s, err := kinds[o.what](ctx, r, o)
	if err != nil {
		return err
	}
	return atomicfile.Write(o.out, true, func(w io.Writer) error { return s.Encode(w, o.out) })
}

func (o options) check() error {
	switch {
	case o.run == "" || o.data == "" || o.out == "":
		return errors.New("-run, -data and -out must be given")
	case kinds[o.what] == nil:
		return fmt.Errorf("-what is %q: it must be colours, attention or tasks", o.what)
	case o.count < 1:
		return fmt.Errorf("-count is %d: it must be at least 1", o.count)
	case !strings.HasSuffix(o.out, ".png") && !strings.HasSuffix(o.out, ".jpg"):
		return fmt.Errorf("-out is %s: its name must end in .png or .jpg", o.out)
	}
	return nil
}
