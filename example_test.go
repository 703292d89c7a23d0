package pretrain_test

import (
	"context"
	"encoding/json"
	"fmt"
	"image"
	_ "image/jpeg"
	"log"
	"net/http"
	"net/http/httptest"
	"os"

	"pretrain"
)

// Embed turns pictures into vectors whose nearness means likeness.
func ExampleNetwork_Embed() {
	network, err := pretrain.OpenWith(exampleRun(), pretrain.Options{Layer: "last", Normalize: true}) // a run of `pretrain train`
	if err != nil {
		log.Fatal(err)
	}
	defer network.Close()

	file, err := os.Open(examplePicture())
	if err != nil {
		log.Fatal(err)
	}
	defer file.Close()
	picture, _, err := image.Decode(file)
	if err != nil {
		log.Fatal(err)
	}
	vectors, err := network.Embed(context.Background(), []image.Image{picture, image.NewGray(image.Rect(0, 0, 40, 30))})
	if err != nil {
		log.Fatal(err)
	}
	cosine := float32(0)
	for i, x := range vectors[0] {
		cosine += x * vectors[1][i]
	}
	fmt.Println(len(vectors), "pictures of", len(vectors[0]), "features, alike:", cosine > 0.99)
	// Output: 2 pictures of 16 features, alike: false
}

// A Network serves many requests at once.
func ExampleOpen() {
	network, err := pretrain.Open(exampleRun())
	if err != nil {
		log.Fatal(err)
	}
	defer network.Close()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, request *http.Request) {
		picture, _, err := image.Decode(http.MaxBytesReader(w, request.Body, 32<<20))
		if err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		vectors, err := network.Embed(request.Context(), []image.Image{picture})
		if err != nil {
			http.Error(w, err.Error(), http.StatusInternalServerError)
			return
		}
		_ = json.NewEncoder(w).Encode(vectors[0])
	}))
	defer server.Close()

	file, err := os.Open(examplePicture())
	if err != nil {
		log.Fatal(err)
	}
	defer file.Close()
	response, err := http.Post(server.URL, "image/jpeg", file)
	if err != nil {
		log.Fatal(err)
	}
	defer response.Body.Close()
	var vector []float32
	if err := json.NewDecoder(response.Body).Decode(&vector); err != nil {
		log.Fatal(err)
	}
	fmt.Println(response.Status, len(vector), "features")
	// Output: 200 OK 16 features
}
