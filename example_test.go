package pretrain_test

import (
	"context"
	"fmt"
	"image"
	_ "image/jpeg"
	"log"
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

// A Network serves many requests at once: docs/downstream/service is a web service around one.
func ExampleOpen() {
	network, err := pretrain.Open(exampleRun())
	if err != nil {
		log.Fatal(err)
	}
	defer network.Close()
	fmt.Println("features of a picture:", network.Shape())
	// Output: features of a picture: [16]
}
