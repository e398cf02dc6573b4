package main

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
)

// A portBlock is 300 ports that were free a moment ago, below those that the
// system gives to outgoing connections.
type portBlock int

func freePorts() (portBlock, error) {
	var last error
	for range 50 {
		base := portBlock(10000 + 300*rand.IntN(70))
		if last = base.try(); last == nil {
			return base, nil
		}
	}
	return 0, fmt.Errorf("no block of free ports found: %w", last)
}

// at is an address in the block: row 0 for clients, 1 for the servers among
// themselves, 2 for HTTP; hosts count from 1.
func (b portBlock) at(row, host int) string { return fmt.Sprintf("127.0.0.1:%d", int(b)+100*row+host) }

func (b portBlock) try() error {
	var errs []error
	for row := range 3 {
		for host := range 5 {
			l, err := net.Listen("tcp", b.at(row, host))
			if err != nil {
				errs = append(errs, err)
				continue
			}
			errs = append(errs, l.Close())
		}
	}
	return errors.Join(errs...)
}
