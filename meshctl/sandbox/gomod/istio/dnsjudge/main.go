// Command dnsjudge runs the DNS server of Istio's agent in worlds that its standard input describes.
//
// It reads one JSON object a line; for each it ends the server before, starts one, and writes a line when that
// answers. With the arguments `load ADDRESS SECONDS CLIENTS NAME…` it asks a DNS server for A records instead,
// each client one question after another, and writes how many were answered and how long that took.
package main

import (
	"bufio"
	"encoding/json"
	"fmt"
	"os"
	"reflect"
	"slices"
	"strconv"
	"sync"
	"time"
	"unsafe"

	"github.com/miekg/dns"

	"istio.io/istio/pkg/dns/client"
	dnsProto "istio.io/istio/pkg/dns/proto"
	"istio.io/istio/pkg/log"
)

type world struct {
	Namespace string          `json:"namespace"`
	Domain    string          `json:"domain"`
	Listen    string          `json:"listen"`
	Search    []string        `json:"search"`
	Servers   []string        `json:"servers"`
	Seconds   float64         `json:"seconds"`
	Names     map[string]info `json:"names"`
}

type info struct {
	Ips       []string `json:"ips"`
	Registry  string   `json:"registry"`
	Shortname string   `json:"shortname"`
	Namespace string   `json:"namespace"`
	AltHosts  []string `json:"altHosts"`
}

type load struct {
	Answered  int     `json:"answered"`
	Failed    int     `json:"failed"`
	PerSecond float64 `json:"perSecond"`
	P50       float64 `json:"p50"`
	P99       float64 `json:"p99"`
}

func main() {
	for _, scope := range log.Scopes() {
		scope.SetOutputLevel(log.NoneLevel) // it would write to standard output
	}
	if len(os.Args) > 5 && os.Args[1] == "load" {
		seconds, _ := strconv.ParseFloat(os.Args[3], 64)
		clients, _ := strconv.Atoi(os.Args[4])
		write(measure(os.Args[2], time.Duration(seconds*float64(time.Second)), clients, os.Args[5:]))
		return
	}
	in := bufio.NewReaderSize(os.Stdin, 1<<20)
	var running *client.LocalDNSServer
	for {
		line, err := in.ReadBytes('\n')
		if err != nil {
			return
		}
		if running != nil {
			running.Close()
		}
		running, err = start(line)
		if err != nil {
			write(map[string]string{"error": err.Error()})
			continue
		}
		write(map[string]string{})
	}
}

func write(value any) {
	if err := json.NewEncoder(os.Stdout).Encode(value); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func start(line []byte) (*client.LocalDNSServer, error) {
	given := world{}
	if err := json.Unmarshal(line, &given); err != nil {
		return nil, err
	}
	timeout := time.Duration(given.Seconds * float64(time.Second))
	server, err := client.NewLocalDNSServer(given.Namespace, given.Domain, given.Listen, client.WithUpstreamTimeout(timeout))
	if err != nil {
		return nil, err
	}
	// The server reads these from this machine's /etc/resolv.conf, which is not part of the world.
	set(server, "searchNamespaces", given.Search)
	set(server, "resolvConfServers", given.Servers)
	if given.Names != nil {
		server.UpdateLookupTable(table(given.Names))
	}
	server.StartDNS()
	return server, nil
}

func set(server *client.LocalDNSServer, name string, values []string) {
	field := reflect.ValueOf(server).Elem().FieldByName(name)
	*(*[]string)(unsafe.Pointer(field.UnsafeAddr())) = values
}

func table(names map[string]info) *dnsProto.NameTable {
	out := &dnsProto.NameTable{Table: map[string]*dnsProto.NameTable_NameInfo{}}
	for host, each := range names {
		out.Table[host] = &dnsProto.NameTable_NameInfo{
			Ips:       each.Ips,
			Registry:  each.Registry,
			Shortname: each.Shortname,
			Namespace: each.Namespace,
			AltHosts:  each.AltHosts,
		}
	}
	return out
}

func measure(address string, lasts time.Duration, clients int, names []string) load {
	end := time.Now().Add(lasts)
	times := make([][]time.Duration, clients)
	failed := make([]int, clients)
	var all sync.WaitGroup
	for each := range clients {
		all.Add(1)
		go func() {
			defer all.Done()
			times[each], failed[each] = ask(address, end, names, each)
		}()
	}
	began := time.Now()
	all.Wait()
	took := slices.Concat(times...)
	slices.Sort(took)
	result := load{Answered: len(took), PerSecond: float64(len(took)) / time.Since(began).Seconds()}
	for _, each := range failed {
		result.Failed += each
	}
	if len(took) > 0 {
		result.P50 = took[len(took)/2].Seconds()
		result.P99 = took[len(took)*99/100].Seconds()
	}
	return result
}

func ask(address string, end time.Time, names []string, first int) (took []time.Duration, failed int) {
	connection, err := dns.DialTimeout("udp", address, time.Second)
	if err != nil {
		return nil, 1
	}
	defer connection.Close()
	message := new(dns.Msg)
	for at := first; time.Now().Before(end); at++ {
		message.SetQuestion(names[at%len(names)], dns.TypeA)
		began := time.Now()
		_ = connection.SetDeadline(began.Add(2 * time.Second))
		if err := connection.WriteMsg(message); err != nil {
			failed++
			continue
		}
		answer, err := connection.ReadMsg()
		if err != nil || answer.Id != message.Id || len(answer.Answer) == 0 {
			failed++
			continue
		}
		took = append(took, time.Since(began))
	}
	return took, failed
}
