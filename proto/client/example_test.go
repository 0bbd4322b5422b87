package client_test

import (
	"context"
	"fmt"
	"log"
	"time"

	sullaev1 "github.com/sullae/sullae/proto/sullae/v1"
)

func Example() {
	c, stop := dial(&fake{}) // c, err := client.Dial("localhost:50051")
	defer stop()

	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	stream, err := c.Generate(ctx, &sullaev1.GenerateRequest{
		Prompt: &sullaev1.GenerateRequest_Text{Text: "The dance goes round"},
	})
	if err != nil {
		log.Fatal(err)
	}
	for delta, err := range stream.All() {
		if err != nil {
			log.Fatal(err)
		}
		fmt.Printf("%q ", delta.GetText())
	}
	// Output: "The" "dance" "goes" "round" ""
}

func ExampleClient_Complete() {
	c, stop := dial(&fake{}) // c, err := client.Dial("dns:///sullae.example:443", client.WithTLS(nil))
	defer stop()

	temperature, maxTokens := float32(0), int32(64)
	answer, err := c.Complete(context.Background(), &sullaev1.GenerateRequest{
		Prompt:   &sullaev1.GenerateRequest_Text{Text: "one two"},
		Sampling: &sullaev1.Sampling{Temperature: &temperature},
		Stopping: &sullaev1.Stopping{MaxTokens: &maxTokens},
	})
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(answer.Choices[0].Text)
	// Output: onetwo
}
