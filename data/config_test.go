package data

import (
	"testing"

	"github.com/go-playground/validator/v10"
)

func TestDefaultConfigIsValid(t *testing.T) {
	c := DefaultConfig()
	if err := validator.New().Struct(c); err != nil {
		t.Error(err)
	}
	if err := c.Check(); err != nil {
		t.Error(err)
	}
	if c.ReducedSide() != 96 || c.WorkerCount() < 1 || c.CacheBytes() != 1<<30 {
		t.Errorf("reduced side %d, %d workers, cache of %d bytes", c.ReducedSide(), c.WorkerCount(), c.CacheBytes())
	}
}

func TestConfigErrors(t *testing.T) {
	for _, test := range []struct {
		change func(*Config)
		want   string
	}{
		{func(c *Config) { c.CacheSide = 63 }, "data.cache_side is 63: must be 0 or at least data.size (64)"},
		{func(c *Config) { c.Augmentation.CropScale = [2]float64{0.9, 0.1} }, "data.augmentation.crop_scale is [0.9 0.1]"},
		{func(c *Config) { c.Augmentation.CropRatio = [2]float64{2, 1} }, "data.augmentation.crop_ratio is [2 1]"},
	} {
		c := DefaultConfig()
		test.change(&c)
		wantError(t, c.Check(), test.want)
	}
}

// TestValidateRules: the rules of the single fields catch what must not happen.
func TestValidateRules(t *testing.T) {
	for name, change := range map[string]func(*Config){
		"size": func(c *Config) { c.Size = 0 }, "std": func(c *Config) { c.Std[1] = 0 }, "ratio": func(c *Config) { c.MaxBadRatio = 1.1 },
		"scale": func(c *Config) { c.Augmentation.CropScale[0] = 0 }, "hue": func(c *Config) { c.Augmentation.Hue = 0.6 },
		"prefetch": func(c *Config) { c.Prefetch = 0 }, "flip": func(c *Config) { c.Augmentation.Flip = -1 },
	} {
		c := DefaultConfig()
		change(&c)
		if validator.New().Struct(c) == nil {
			t.Errorf("%s: an impossible value is accepted", name)
		}
	}
}
