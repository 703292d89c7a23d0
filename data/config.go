package data

import (
	"fmt"
	"runtime"
)

// Config is section `data` of a run's YAML.
type Config struct {
	Path         string       `mapstructure:"path" doc:"folder of pictures, or a list file with one path and optional label a line"`
	Size         int          `mapstructure:"size" validate:"gte=8,lte=4096" doc:"side of a full view in pixels"`
	CacheSide    int          `mapstructure:"cache_side" validate:"gte=0,lte=16384" doc:"short side in pixels to which pictures are reduced once before views are cut; 0 = 1.5 times size"`
	CacheMiB     int          `mapstructure:"cache_mib" validate:"gte=0,lte=16777216" doc:"memory for reduced pictures in MiB; 0 = decode every time"`
	Workers      int          `mapstructure:"workers" validate:"gte=0,lte=1024" doc:"goroutines that prepare batches; 0 = one a core"`
	Prefetch     int          `mapstructure:"prefetch" validate:"gte=1,lte=64" doc:"batches prepared ahead of the step"`
	MaxBadRatio  float64      `mapstructure:"max_bad_ratio" validate:"gte=0,lte=1" doc:"share of pictures that may be unreadable before the run stops"`
	MaxPictures  int          `mapstructure:"max_pictures" validate:"gte=0" doc:"use only so many pictures, evenly spread over the sorted paths; 0 = all"`
	Mean         [3]float64   `mapstructure:"mean" validate:"dive,gte=0,lte=1" doc:"mean of red, green and blue (0 to 1) subtracted from every pixel"`
	Std          [3]float64   `mapstructure:"std" validate:"dive,gt=0" doc:"standard deviation of red, green and blue by which pixels are divided"`
	Augmentation Augmentation `mapstructure:"augmentation" doc:"random changes that make a view from a picture"`
}

// DefaultConfig returns the defaults. Mean and Std are those of ImageNet, as in torchvision and timm.
func DefaultConfig() Config {
	return Config{
		Size: 64, CacheMiB: 1024, Prefetch: 3, MaxBadRatio: 0.05,
		Mean: [3]float64{0.485, 0.456, 0.406}, Std: [3]float64{0.229, 0.224, 0.225},
		Augmentation: DefaultAugmentation(),
	}
}

// Check finds what no single field's rule can say.
func (c Config) Check() error {
	if c.CacheSide != 0 && c.CacheSide < c.Size {
		return fmt.Errorf("data.cache_side is %d: must be 0 or at least data.size (%d); raise it or lower data.size", c.CacheSide, c.Size)
	}
	return c.Augmentation.Check()
}

// ReducedSide is the short side of a cached picture in pixels.
func (c Config) ReducedSide() int {
	if c.CacheSide > 0 {
		return c.CacheSide
	}
	return (3*c.Size + 1) / 2
}

// WorkerCount is the number of workers meant by the field Workers.
func (c Config) WorkerCount() int {
	if c.Workers > 0 {
		return c.Workers
	}
	return runtime.GOMAXPROCS(0)
}

// CacheBytes is the budget of the cache in bytes.
func (c Config) CacheBytes() int64 { return int64(c.CacheMiB) << 20 }

// Normalization returns the run's mean and standard deviation.
func (c Config) Normalization() Normalization { return Normalization{Mean: c.Mean, Std: c.Std} }
