package export

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

var (
	threeColumns = three(0).Columns
	identity     = map[string]string{"layer": "2", "run": "first"}
)

// errUnreadable is why every third example picture cannot be read.
var errUnreadable = errors.New("bad JPEG: unexpected EOF")

// failer is a test, or a property's check in one.
type failer interface {
	Helper()
	Fatal(...any)
}

// fill adds the example pictures from the first missing one on, up to count.
func fill(t failer, p *Partial, count int) {
	t.Helper()
	for _, row := range examplePictures(count)[p.Pictures():] {
		err := error(nil)
		if p.Pictures()%3 == 2 {
			err = p.AddBad(row.Path, errUnreadable)
		} else {
			err = p.Add(row)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
}

// contents reads everything back.
func contents(t *testing.T, p *Partial) []FeatureRow {
	t.Helper()
	var rows []FeatureRow
	err := p.Each(func(row FeatureRow, bad error) error {
		if bad != nil {
			row.Label = bad.Error()
		} else {
			row.Vectors = [][]float32{append([]float32{}, row.Vectors[0]...)}
		}
		rows = append(rows, row)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return rows
}

// expected is what contents must give for so many pictures.
func expected(count int) []FeatureRow {
	rows := examplePictures(count)
	for i := range rows {
		if i%3 == 2 {
			rows[i] = FeatureRow{Path: rows[i].Path, Label: errUnreadable.Error()}
		}
	}
	return rows
}

func newPartial(t *testing.T, path string) *Partial {
	t.Helper()
	p, err := NewPartial(path, threeColumns, identity, true)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func resumed(t *testing.T, path string) *Partial {
	t.Helper()
	p, err := ResumePartial(path, threeColumns, identity)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// TestPartialGoesOn: closed and resumed at several places, it holds what one that was never closed does; names of any
// bytes come back.
func TestPartialGoesOn(t *testing.T) {
	path := filepath.Join(t.TempDir(), "made", "f.npy")
	newPartial(t, path).Close()
	if HasPartial(path) || len(names(t, filepath.Dir(path))) != 0 {
		t.Errorf("an empty one is kept: %v", names(t, filepath.Dir(path)))
	}
	p := newPartial(t, path)
	for _, count := range []int{1, 2, 3, 66, 130} {
		fill(t, p, count)
		if err := p.Close(); err != nil {
			t.Fatal(err)
		}
		if p = resumed(t, path); p.Pictures() != count || p.Rows() != count-count/3 {
			t.Fatalf("%d pictures, %d of them readable, after %d", p.Pictures(), p.Rows(), count)
		}
	}
	if err := p.Add(FeatureRow{Path: "latin\xe9.jpg", Label: "\xff", Vectors: [][]float32{{1, 2, 3}}}); err != nil {
		t.Fatal(err)
	}
	want := append(expected(130), FeatureRow{Path: "latin\xe9.jpg", Label: "\xff", Vectors: [][]float32{{1, 2, 3}}})
	if diff := cmp.Diff(want, contents(t, p)); diff != "" {
		t.Error(diff)
	}
	if err := p.Remove(); err != nil || len(names(t, filepath.Dir(path))) != 0 {
		t.Errorf("left %v, %v", names(t, filepath.Dir(path)), err)
	}
}

// TestPartialAfterAnyCut: files cut at any places, or with bytes of zero in place of what a crash of the machine lost, are
// resumed with the pictures before the damage, and completed to the same contents.
func TestPartialAfterAnyCut(t *testing.T) {
	const count = 70
	path := filepath.Join(t.TempDir(), "f.npy")
	p := newPartial(t, path)
	fill(t, p, count)
	if err := p.Close(); err != nil {
		t.Fatal(err)
	}
	whole := map[string][]byte{}
	for _, name := range []string{partialFeatures, partialLines} {
		whole[name] = read(t, filepath.Join(PartialFolder(path), name))
	}
	rapid.Check(t, func(t *rapid.T) {
		for _, name := range []string{partialFeatures, partialLines} { // not in the order of the map: rapid repeats its draws
			content := append([]byte{}, whole[name]...)
			cut := rapid.IntRange(0, len(content)).Draw(t, "cut")
			if rapid.Bool().Draw(t, "zeros") {
				clear(content[cut:])
			} else {
				content = content[:cut]
			}
			if err := os.WriteFile(filepath.Join(PartialFolder(path), name), content, 0o644); err != nil {
				t.Fatal(err)
			}
		}
		p, err := ResumePartial(path, threeColumns, identity)
		if err != nil {
			t.Fatal(err)
		}
		kept := p.Pictures()
		fill(t, p, count)
		var rows []FeatureRow
		if err := p.Each(func(row FeatureRow, bad error) error { rows = append(rows, row); return nil }); err != nil || len(rows) != count {
			t.Fatalf("%d rows after %d were kept, %v", len(rows), kept, err)
		}
		if err := p.Close(); err != nil {
			t.Fatal(err)
		}
		for name, want := range whole {
			if got, err := os.ReadFile(filepath.Join(PartialFolder(path), name)); err != nil || string(got) != string(want) {
				t.Fatalf("%s: other bytes after %d pictures were kept, %v", name, kept, err)
			}
		}
	})
}

// TestPartialRefuses what belongs to another extraction or another process, and says how to go on.
func TestPartialRefuses(t *testing.T) {
	path := filepath.Join(t.TempDir(), "f.npy")
	p := newPartial(t, path)
	fill(t, p, 1)
	_, busy := ResumePartial(path, threeColumns, identity)
	if err := p.Close(); err != nil {
		t.Fatal(err)
	}
	_, begun := NewPartial(path, threeColumns, identity, false)
	_, other := ResumePartial(path, threeColumns, map[string]string{"layer": "3", "run": "first"})
	if err := os.WriteFile(filepath.Join(PartialFolder(path), partialIdentity), []byte("{"), 0o644); err != nil {
		t.Fatal(err)
	}
	_, damaged := ResumePartial(path, threeColumns, identity)
	for want, err := range map[string]error{
		"written by another process":    busy,
		"--resume to go on":             begun,
		`its layer is "2", and now "3"`: other,
		"identity.json is damaged":      damaged,
	} {
		if !errors.Is(err, ErrPartial) || !strings.Contains(err.Error(), want) || !strings.Contains(err.Error(), PartialFolder(path)) {
			t.Errorf("error %v: want %q in it", err, want)
		}
	}
	p = newPartial(t, path) // may be dropped
	defer p.Close()
	if p.Pictures() != 0 {
		t.Errorf("%d pictures of the dropped one are left", p.Pictures())
	}
}

// TestPartialNoticesDamage between writing and reading back.
func TestPartialNoticesDamage(t *testing.T) {
	path := filepath.Join(t.TempDir(), "f.npy")
	p := newPartial(t, path)
	defer p.Close()
	fill(t, p, 5)
	if err := p.flush(); err != nil {
		t.Fatal(err)
	}
	file, err := os.OpenFile(filepath.Join(p.Folder(), partialFeatures), os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	if _, err := file.WriteAt([]byte{1}, 13); err != nil {
		t.Fatal(err)
	}
	err = p.Each(func(FeatureRow, error) error { return nil })
	if want := fmt.Sprintf("%q", examplePictures(2)[1].Path); err == nil || !strings.Contains(err.Error(), want) || !strings.Contains(err.Error(), "damaged") {
		t.Errorf("error %v: want %s in it", err, want)
	}
}

// TestPartialOnAFullDisk fails with the name of the file, keeps what was whole, and goes on when there is room again.
func TestPartialOnAFullDisk(t *testing.T) {
	folder := smallDisk(t, "64k")
	path := filepath.Join(folder, "f.npy")
	columns := []FeatureColumn{{Shape: []int{50}}}
	p, err := NewPartial(path, columns, identity, false)
	if err != nil {
		t.Fatal(err)
	}
	for i := 0; err == nil && i < 1000; i++ {
		err = p.Add(FeatureRow{Path: fmt.Sprint(i), Vectors: [][]float32{noise(50, i)}})
	}
	if err == nil || !strings.Contains(err.Error(), p.Folder()) {
		t.Errorf("error %v", err)
	}
	p.Close()
	kept, err := ResumePartial(path, columns, identity)
	if err != nil {
		t.Fatal(err)
	}
	defer kept.Close()
	rows := 0
	err = kept.Each(func(row FeatureRow, _ error) error {
		if row.Path != fmt.Sprint(rows) || row.Vectors[0][49] != noise(50, rows)[49] {
			t.Errorf("row %d is of %s", rows, row.Path)
		}
		rows++
		return nil
	})
	if err != nil || rows < flushedPictures || rows != kept.Rows() {
		t.Errorf("%d rows are kept, %v", rows, err)
	}
}
