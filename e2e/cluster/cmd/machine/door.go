package main

import (
	"io"
	"log"
	"net"
	"os"
	"sync"
	"time"

	"spidernet.io/spiderpool/e2e/cluster/machine"
)

// retry keeps a lasting failure, such as too many open files, from filling the log.
const retry = 100 * time.Millisecond

// openDoor forwards every connection of the inherited socket, which belongs to the network outside,
// to an address inside.
func openDoor(upstream string) error {
	file := os.NewFile(machine.DoorFD, "door")
	listener, err := net.FileListener(file)
	if err != nil {
		return err
	}
	file.Close()
	go func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				log.Printf("door: %v", err)
				time.Sleep(retry)
				continue
			}
			go lead(conn, upstream)
		}
	}()
	return nil
}

func lead(outside net.Conn, upstream string) {
	defer outside.Close()
	inside, err := net.Dial("tcp", upstream) //nolint:noctx // nothing cancels it: a machine is killed as a whole
	if err != nil {
		return // the client sees a closed connection, as with any server that is down
	}
	defer inside.Close()
	var both sync.WaitGroup
	both.Go(func() { pour(inside, outside) })
	both.Go(func() { pour(outside, inside) })
	both.Wait()
}

// pour copies one direction and passes on its end, so that the other direction may go on.
func pour(to, from net.Conn) {
	io.Copy(to, from)              //nolint:errcheck // either side's failure is the other side's end
	to.(*net.TCPConn).CloseWrite() //nolint:errcheck // it may be closed already
}
