package main

import (
	"bytes"
	"encoding/json"
	"image"
	"image/png"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"pretrain/configs"
	"pretrain/run"
	"pretrain/sample"
)

// programVariable makes the test binary behave as the service.
const programVariable = "TEST_IS_THE_SERVICE"

func TestMain(m *testing.M) {
	if os.Getenv(programVariable) != "" {
		main()
	}
	os.Exit(m.Run())
}

const tiny = `
data: {size: 32, cache_side: 32, max_pictures: 16}
backbone: {name: vit, vit: {patch: 8, width: 16, depth: 2, heads: 2}}
tasks: {rotation: {}}
train: {epochs: 1, batch_size: 8, max_steps: 1}
logging: {level: error}
metrics: {enabled: false}
`

// trained is a run whose best layer is known.
func trained(t *testing.T) string {
	t.Helper()
	pictures, config, directory := t.TempDir(), filepath.Join(t.TempDir(), "tiny.yaml"), filepath.Join(t.TempDir(), "run")
	if err := sample.Extract(pictures); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(config, []byte(tiny), 0o644); err != nil {
		t.Fatal(err)
	}
	resolved, err := configs.Load(configs.Source{
		Name: config, Overrides: []configs.Override{{Flag: "--data", Path: "data.path", Value: filepath.Join(pictures, "train")}},
	})
	if err != nil {
		t.Fatal(err)
	}
	if err := run.Train(t.Context(), resolved, run.TrainOptions{Directory: directory, Console: io.Discard}); err != nil {
		t.Fatal(err)
	}
	opened, err := run.Open(directory)
	if err != nil {
		t.Fatal(err)
	}
	defer opened.Close()
	if err := opened.StoreBestLayer(run.BestLayer{Layer: 1}); err != nil {
		t.Fatal(err)
	}
	return directory
}

// start runs the service until the test ends, and returns its URL.
func start(t *testing.T, directory string) string {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	address := listener.Addr().String()
	listener.Close()
	service := exec.Command(os.Args[0], directory, address)
	service.Env = append(os.Environ(), programVariable+"=1")
	var said bytes.Buffer
	service.Stderr = &said
	if err := service.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = service.Process.Kill()
		_ = service.Wait()
	})
	for range 600 {
		if connection, err := net.Dial("tcp", address); err == nil {
			connection.Close()
			return "http://" + address
		}
		time.Sleep(50 * time.Millisecond)
	}
	t.Fatalf("the service does not answer: %s", said.String())
	return ""
}

// TestService: a picture gets its features, and everything else an answer that says what is wrong.
func TestService(t *testing.T) {
	url := start(t, trained(t))
	var picture bytes.Buffer
	if err := png.Encode(&picture, image.NewGray(image.Rect(0, 0, 40, 50))); err != nil {
		t.Fatal(err)
	}
	post := func(path string, body []byte) (int, string) {
		t.Helper()
		response, err := http.Post(url+path, "image/png", bytes.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		defer response.Body.Close()
		text, err := io.ReadAll(response.Body)
		if err != nil {
			t.Fatal(err)
		}
		return response.StatusCode, string(text)
	}
	for range 2 {
		var vector []float32
		status, text := post("/embed", picture.Bytes())
		if err := json.Unmarshal([]byte(text), &vector); status != http.StatusOK || err != nil || len(vector) != 16 {
			t.Fatalf("%d, %v: %s", status, err, text)
		}
	}
	for _, body := range [][]byte{nil, []byte("no picture"), picture.Bytes()[:20]} {
		if status, text := post("/embed", body); status != http.StatusBadRequest || text == "" {
			t.Errorf("%d bytes: %d %q", len(body), status, text)
		}
	}
	if status, _ := post("/", picture.Bytes()); status != http.StatusNotFound {
		t.Errorf("another path: %d", status)
	}
	response, err := http.Get(url + "/embed")
	if err != nil {
		t.Fatal(err)
	}
	response.Body.Close()
	if response.StatusCode != http.StatusMethodNotAllowed {
		t.Errorf("GET: %d", response.StatusCode)
	}
}

// TestServiceOfNothing ends with what is wrong.
func TestServiceOfNothing(t *testing.T) {
	empty := t.TempDir()
	for want, arguments := range map[string][]string{
		"is not the directory of a run": {empty, "127.0.0.1:0"}, "usage: service RUN ADDRESS": {empty},
	} {
		service := exec.Command(os.Args[0], arguments...)
		service.Env = append(os.Environ(), programVariable+"=1")
		if said, err := service.CombinedOutput(); err == nil || !strings.Contains(string(said), want) || strings.Contains(string(said), "goroutine") {
			t.Errorf("%q: %v: %s", arguments, err, said)
		}
	}
}

// TestThePageShowsTheProgram: docs/downstream.md has the main function, whole.
func TestThePageShowsTheProgram(t *testing.T) {
	program, err := os.ReadFile("main.go")
	if err != nil {
		t.Fatal(err)
	}
	page, err := os.ReadFile(filepath.Join("..", "..", "downstream.md"))
	if err != nil {
		t.Fatal(err)
	}
	_, function, _ := strings.Cut(string(program), "func main() {\n")
	for line := range strings.Lines("func main() {\n" + function) {
		line = strings.TrimRight(strings.ReplaceAll(line, "\t", "    "), "\n")
		if !strings.Contains(string(page), "    "+line+"\n") && line != "" {
			t.Errorf("the page does not show %q", line)
		}
	}
}
