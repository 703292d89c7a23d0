package export

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"

	"pretrain/internal/tensorfile"
)

// archive begins .npz files, and those of torch.save: the entries tell which.
const archive = "PK\x03\x04"

// foreign are the first bytes of files that hold weights in a way that we do not read, and what to do.
var foreign = []struct{ prefix, advice string }{
	{"\x80", "it is a Python pickle, as old versions of torch.save write: save it by safetensors.torch.save_file(model.state_dict(), FILE)"},
	{"\x89HDF", "it is an HDF5 file: save its arrays by numpy.savez(FILE, **arrays), under the names of timm or torchvision"},
	{"\x93NUMPY", "it is a single array: save all of them by numpy.savez(FILE, **arrays)"},
}

// ReadWeights reads weights that any program has saved under public names: a safetensors file or an .npz file, told apart
// by what is in them. Values of other types become float32; such that it cannot hold are errors. A description beside the
// file, as Save or Backbone writes it, is returned too; nil if there is none. Errors name the file, the tensor and what was
// expected.
func ReadWeights(path string) ([]Tensor, *Model, error) {
	tensors, err := readWeights(path)
	if err != nil {
		return nil, nil, fmt.Errorf("weights %s: %w", path, err)
	}
	model, err := readDescription(path)
	return tensors, model, err
}

func readWeights(path string) ([]Tensor, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	stat, err := f.Stat()
	if err != nil {
		return nil, err
	}
	if !stat.Mode().IsRegular() {
		return nil, errors.New("it is no file: expected safetensors or .npz")
	}
	start := make([]byte, 8)
	n, err := f.ReadAt(start, 0)
	if err != nil && !errors.Is(err, io.EOF) {
		return nil, err
	}
	for _, kind := range foreign {
		if bytes.HasPrefix(start[:n], []byte(kind.prefix)) {
			return nil, fmt.Errorf("expected safetensors or .npz; %s", kind.advice)
		}
	}
	if bytes.HasPrefix(start, []byte(archive)) {
		return readArchive(f, stat.Size())
	}
	reader, err := tensorfile.NewConverter(f, stat.Size())
	if err != nil {
		return nil, fmt.Errorf("expected safetensors or .npz: %w", err)
	}
	return reader.All()
}

func readArchive(f *os.File, size int64) ([]Tensor, error) {
	tensors, err := tensorfile.ReadNPZ(f, size)
	if errors.Is(err, tensorfile.ErrForeignEntry) {
		return nil, fmt.Errorf("expected safetensors or .npz: %w; if it is a file of torch.save, save it by safetensors.torch.save_file(model.state_dict(), FILE)", err)
	}
	if err != nil {
		return nil, fmt.Errorf("expected safetensors or .npz: %w", err)
	}
	return tensors, nil
}

// readDescription looks for the description of an exported file, and for that of a run's own export.
func readDescription(path string) (*Model, error) {
	for _, name := range []string{DescriptionPath(path), filepath.Join(filepath.Dir(path), modelName)} {
		content, err := os.ReadFile(name)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return nil, err
		}
		var model Model
		if err := json.Unmarshal(content, &model); err != nil {
			return nil, fmt.Errorf("%s: %w; it should describe %s: correct or remove it", name, err, path)
		}
		if model.FormatVersion > ModelVersion {
			return nil, fmt.Errorf("%s has format version %d, newer than the %d that this program knows: use the newer program", name, model.FormatVersion, ModelVersion)
		}
		if model.Weights == filepath.Base(path) && model.Name != "" {
			return &model, nil
		}
	}
	return nil, nil
}

// OHWI is the inverse of OIHW: from [filters, channels, height, width] to [filters, height, width, channels].
func OHWI(t Tensor) (Tensor, error) {
	if err := checkFilters(t); err != nil {
		return Tensor{}, err
	}
	filters, channels, height, width := t.Shape[0], t.Shape[1], t.Shape[2], t.Shape[3]
	data := swapped(t.Data, filters, channels, height*width)
	return Tensor{Name: t.Name, Shape: []int{filters, height, width, channels}, Data: data}, nil
}
