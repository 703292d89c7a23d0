// Command sample makes sample/sample.zip: small crops of free photographs, for the quick start.
//
//	go run ./sample DIR OUT.zip
//
// DIR holds the unpacked Debian packages named in photographs.go (see `make sample`). The output depends on nothing
// but them: the same files give the same bytes.
//
// Each photograph is cut into square tiles of half its short side. A third of the tiles, spread like a chessboard,
// belongs to the test part, the rest to the training part; crops never leave their tile, so no pixel is in both.
package main

import (
	"archive/zip"
	"bytes"
	"fmt"
	"image"
	"image/jpeg"
	"log"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"

	"golang.org/x/image/draw"
)

const (
	side         = 64 // pixels of a crop
	trainCrops   = 36 // a tile; some are refused for being flat
	testCrops    = 18
	minScale     = 0.55 // smallest crop as a share of its tile
	quality      = 85   // of the JPEG files
	minDeviation = 8    // of luminance; below it a crop is sky or wall and nothing to learn from
)

func main() {
	log.SetFlags(0)
	if len(os.Args) != 3 {
		log.Fatal("usage: sample DIR OUT.zip")
	}
	if err := run(os.Args[1], os.Args[2], photographs); err != nil {
		log.Fatal(err)
	}
}

func run(dir, out string, photographs []photograph) error {
	var archive bytes.Buffer
	writer := zip.NewWriter(&archive)
	for number, photograph := range photographs {
		if err := addPhotograph(writer, dir, number, photograph); err != nil {
			return fmt.Errorf("%s: %w", photograph.file, err)
		}
	}
	if err := addFile(writer, "CREDITS.md", []byte(credits())); err != nil {
		return err
	}
	if err := writer.Close(); err != nil {
		return err
	}
	return os.WriteFile(out, archive.Bytes(), 0o644)
}

// addPhotograph adds the crops of one photograph. Photographs are numbered because the random stream of one must not
// move when another is added.
func addPhotograph(writer *zip.Writer, dir string, number int, p photograph) error {
	img, err := load(filepath.Join(dir, p.file))
	if err != nil {
		return err
	}
	tile := min(img.Bounds().Dx(), img.Bounds().Dy()) / 2
	if tile < side {
		return fmt.Errorf("the photograph is %v: half of its short side must be %d at least", img.Bounds().Size(), side)
	}
	r := rand.New(rand.NewPCG(uint64(number), 64))
	counts := map[string]int{}
	for row := range img.Bounds().Dy() / tile {
		for col := range img.Bounds().Dx() / tile {
			part, crops := "train", trainCrops
			if (row+col)%3 == 1 {
				part, crops = "test", testCrops
			}
			for range crops {
				crop := cut(img, r, image.Rect(col*tile, row*tile, (col+1)*tile, (row+1)*tile))
				if deviation(crop) < minDeviation {
					continue
				}
				if err := addCrop(writer, fmt.Sprintf("%s/%s/%03d.jpg", part, p.label, counts[part]), crop); err != nil {
					return err
				}
				counts[part]++
			}
		}
	}
	log.Printf("%-12s %3d train, %3d test", p.label, counts["train"], counts["test"])
	return nil
}

func addCrop(writer *zip.Writer, name string, crop image.Image) error {
	var encoded bytes.Buffer
	if err := jpeg.Encode(&encoded, crop, &jpeg.Options{Quality: quality}); err != nil {
		return err
	}
	return addFile(writer, name, encoded.Bytes())
}

func load(path string) (image.Image, error) {
	file, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer file.Close()
	return jpeg.Decode(file)
}

// cut takes a random square inside the tile and reduces it with an antialiasing filter.
func cut(img image.Image, r *rand.Rand, tile image.Rectangle) *image.RGBA {
	size := int(float64(tile.Dx()) * (minScale + (1-minScale)*r.Float64()))
	x := tile.Min.X + r.IntN(tile.Dx()-size+1)
	y := tile.Min.Y + r.IntN(tile.Dy()-size+1)
	crop := image.NewRGBA(image.Rect(0, 0, side, side))
	draw.CatmullRom.Scale(crop, crop.Bounds(), img, image.Rect(x, y, x+size, y+size), draw.Src, nil)
	return crop
}

// deviation is the standard deviation of a crop's luminance, in grey levels.
func deviation(crop *image.RGBA) float64 {
	var sum, squares float64
	for i := 0; i < len(crop.Pix); i += 4 {
		y := 0.299*float64(crop.Pix[i]) + 0.587*float64(crop.Pix[i+1]) + 0.114*float64(crop.Pix[i+2])
		sum += y
		squares += y * y
	}
	n := float64(len(crop.Pix) / 4)
	return math.Sqrt(max(0, squares/n-sum/n*sum/n))
}

// addFile stores a file without a date, so that the archive's bytes depend on the content alone. JPEG does not shrink
// further, so nothing is compressed.
func addFile(writer *zip.Writer, name string, content []byte) error {
	file, err := writer.CreateHeader(&zip.FileHeader{Name: name, Method: zip.Store})
	if err != nil {
		return err
	}
	_, err = file.Write(content)
	return err
}
