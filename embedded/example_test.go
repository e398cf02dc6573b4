package embedded_test

import (
	"context"
	"fmt"
	"log"
	"os"
	"time"

	"github.com/nats-io/nats.go"

	"trireme/embedded"
)

func Example() {
	dir, err := os.MkdirTemp("", "embedded")
	if err != nil {
		log.Fatal(err)
	}
	defer os.RemoveAll(dir)

	srv := &embedded.Server{Dir: dir, Listen: "127.0.0.1:-1"}
	if err := srv.Start(context.Background()); err != nil {
		log.Fatal(err)
	}
	defer srv.Close()

	service, err := srv.Service()
	if err != nil {
		log.Fatal(err)
	}
	_, err = service.Subscribe("adama.v1.greet", func(m *nats.Msg) {
		if err := m.Respond([]byte("hello " + string(m.Data))); err != nil {
			log.Print(err)
		}
	})
	if err != nil {
		log.Fatal(err)
	}
	if err := service.Flush(); err != nil {
		log.Fatal(err)
	}

	client, err := nats.Connect(srv.URL())
	if err != nil {
		log.Fatal(err)
	}
	defer client.Close()
	answer, err := client.Request("adama.v1.greet", []byte("adama"), 5*time.Second)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(string(answer.Data))
	// Output: hello adama
}

func ExampleServer_Config() {
	srv := &embedded.Server{Extra: "jetstream: disabled"}
	_, err := srv.Config()
	fmt.Println(err)
	// Output: NATS configuration: extra NATS configuration: "jetstream" cannot be set here: the log needs its own JetStream settings; remove it
}
