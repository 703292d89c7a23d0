package data

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// Files is a Dataset of picture files, sorted by the bytes of their paths (with forward slashes) whatever the file
// system. It is immutable, and its methods may be called concurrently.
type Files struct {
	root     string // folder that relative names start from
	pictures []file
	report   Report
	hashed   bool
}

// file is a candidate for a picture. There may be millions, so it holds no more than what cannot be found again: the path
// follows from the name.
type file struct {
	name, label   string // name is what order and messages go by
	width, height int32  // as stored, before EXIF orientation
	listed        bool   // named by a list: then it must be a picture
}

// path is what is opened.
func (f file) path(root string) string {
	if path := filepath.FromSlash(f.name); filepath.IsAbs(path) {
		return path
	}
	return filepath.Join(root, filepath.FromSlash(f.name))
}

// Report says what Open found.
type Report struct {
	Files    int             // files looked at
	Pictures int             // pictures with a good header, of which data.max_pictures may use a part
	Ignored  int             // files that are no pictures, hidden files and folders, loops of links
	Formats  map[string]int  // pictures of each type
	Bad      []*PictureError // broken pictures, sorted by path; they are not in the dataset
}

// Open finds the pictures of a folder, at any depth, or of a list file (see parseList), and reads all their
// headers. The label of a picture in a folder is the first folder below it. Symbolic links are followed unless they
// lead in a circle; what starts with a dot is ignored. From Config it uses Workers, MaxBadRatio and MaxPictures.
// Errors: no such path, no pictures, more broken ones than MaxBadRatio allows.
func Open(ctx context.Context, path string, c Config) (*Files, error) {
	f, err := OpenShard(ctx, path, c, Shard{0, 1})
	if err != nil {
		return nil, err
	}
	if err := checkBad(f.report.Bad, len(f.pictures)+len(f.report.Bad), c.MaxBadRatio); err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	f.pictures = thin(f.pictures, c.MaxPictures)
	return f, nil
}

// A Shard is one of Count parts of a sorted list of files, counted from 0. Parts are runs of successive files, so that
// what is made of them, one after another, equals what is made of the whole.
type Shard struct{ Index, Count int }

// of is the shard's part of n files.
func (s Shard) of(n int) (from, to int) { return s.Index * n / s.Count, (s.Index + 1) * n / s.Count }

// OpenShard is Open for a part of the files, and looks at no other. All its pictures are taken and all broken ones only
// reported, whatever MaxPictures and MaxBadRatio, which are about a whole. Only the whole must have a picture.
func OpenShard(ctx context.Context, path string, c Config, shard Shard) (*Files, error) {
	if shard.Index < 0 || shard.Index >= shard.Count {
		return nil, fmt.Errorf("shard %d/%d: the shards of %d count from 0 to %d", shard.Index, shard.Count, shard.Count, shard.Count-1)
	}
	candidates, ignored, err := findFiles(ctx, path)
	if err != nil {
		return nil, err
	}
	from, to := shard.of(len(candidates))
	f, err := scan(ctx, rootOf(path), candidates[from:to:to], c.WorkerCount())
	if err != nil {
		return nil, err
	}
	f.report.Ignored += ignored
	if len(f.pictures) == 0 && shard.Count == 1 {
		return nil, noPictures(path, f.report)
	}
	return f, nil
}

// rootOf is the folder that relative names below a folder, or in a list file, start from.
func rootOf(path string) string {
	if info, err := os.Stat(path); err == nil && info.IsDir() {
		return path
	}
	return filepath.Dir(path)
}

// findFiles lists the candidates of a folder or a list file, sorted by name.
func findFiles(ctx context.Context, path string) (candidates []file, ignored int, err error) {
	if path == "" {
		return nil, 0, errors.New("no pictures are named: set data.path to a folder of pictures or a list file")
	}
	info, err := os.Stat(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil, 0, fmt.Errorf("%q does not exist: name a folder of pictures or a list file", path)
	case err != nil:
		return nil, 0, err
	case info.IsDir():
		w := walker{ctx: ctx}
		err = w.walk(path, "", []fs.FileInfo{info})
		candidates, ignored = w.files, w.ignored
	default:
		candidates, err = readList(path)
	}
	slices.SortStableFunc(candidates, func(a, b file) int { return strings.Compare(a.name, b.name) })
	return candidates, ignored, err
}

// noPictures explains an empty dataset.
func noPictures(path string, r Report) error {
	types := strings.Join(Formats(), ", ")
	switch {
	case len(r.Bad) > 0:
		return fmt.Errorf("%q holds no readable picture: %d of %d files look like pictures, but the first one %w", path, len(r.Bad), r.Files, r.Bad[0])
	case r.Files > 0:
		return fmt.Errorf("%q holds no picture: %d files were seen, none of a type that is read (%s)", path, r.Files, types)
	}
	return fmt.Errorf("%q is empty: put pictures (%s) there, at any depth", path, types)
}

// thin keeps at most limit pictures, evenly spread so that every folder keeps its share; 0 keeps all.
func thin(pictures []file, limit int) []file {
	if limit == 0 || limit >= len(pictures) {
		return pictures
	}
	kept := make([]file, limit)
	for i := range kept {
		kept[i] = pictures[i*len(pictures)/limit]
	}
	return kept
}

// Len is the number of pictures with a good header.
func (f *Files) Len() int { return len(f.pictures) }

// At decodes picture i.
func (f *Files) At(ctx context.Context, i int) (Example, error) {
	if err := ctx.Err(); err != nil {
		return Example{}, err
	}
	path := f.Path(i)
	contents, err := readFile(path, maxPictureBytes)
	if err != nil {
		return Example{}, &PictureError{Path: path, Err: withoutPath(err)}
	}
	img, err := Decode(contents)
	if err != nil {
		return Example{}, &PictureError{Path: path, Err: err}
	}
	example := Example{Image: img, Path: path, Label: f.pictures[i].label}
	if f.hashed {
		example.SHA256 = fmt.Sprintf("%x", sha256.Sum256(contents))
	}
	return example, nil
}

// Hashed is the same data set whose examples have the SHA-256 of their files.
func (f *Files) Hashed() *Files {
	hashed := *f
	hashed.hashed = true
	return &hashed
}

// Path is the path of picture i.
func (f *Files) Path(i int) string { return f.pictures[i].path(f.root) }

// Label is the label of picture i, empty where there is none.
func (f *Files) Label(i int) string { return f.pictures[i].label }

// Labels lists the different labels, sorted; pictures without label add none.
func (f *Files) Labels() []string {
	var labels []string
	for _, p := range f.pictures {
		if p.label != "" {
			labels = append(labels, p.label)
		}
	}
	slices.Sort(labels)
	return slices.Compact(labels)
}

// Report says what Open found. It must not be changed.
func (f *Files) Report() Report { return f.report }

// ReducedBytes is what the pictures take in a Cache that reduces them to a short side of `side` pixels.
func (f *Files) ReducedBytes(side int) int64 {
	sum := int64(0)
	for _, picture := range f.pictures {
		width, height := int(picture.width), int(picture.height)
		if min(width, height) > side {
			width, height = reducedSize(width, height, side)
		}
		sum += int64(width)*int64(height)*3 + int64(len(picture.path(f.root))) + bookkeepingBytes
	}
	return sum
}

// CheckMinimum fails, naming the first ones, when a picture's short side has fewer than `side` pixels.
func (f *Files) CheckMinimum(side int) error {
	var small []string
	count := 0
	for _, p := range f.pictures {
		if min(p.width, p.height) >= int32(side) {
			continue
		}
		if count++; count <= listed {
			small = append(small, fmt.Sprintf("%s: %d×%d", p.path(f.root), p.width, p.height))
		}
	}
	if count == 0 {
		return nil
	}
	return fmt.Errorf("%d of %d pictures are smaller than %d pixels; remove them or lower data.size. The first ones:\n  %s",
		count, len(f.pictures), side, strings.Join(small, "\n  "))
}
