package export

// Config is the YAML section `export`.
type Config struct {
	AtEnd bool `mapstructure:"at_end" doc:"write exported/backbone.safetensors and exported/model.json when the run ends"`
}

// DefaultConfig exports at the end of a run.
func DefaultConfig() Config { return Config{AtEnd: true} }
