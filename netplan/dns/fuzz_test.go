package dns

import (
	"testing"

	"github.com/miekg/dns"
)

// FuzzAnswer passes on what an upstream answers, whatever that is: no more than
// the client takes, and nothing that is not a message of its length.
func FuzzAnswer(f *testing.F) {
	q := new(dns.Msg).SetQuestion("example.org.", dns.TypeA)
	q.SetEdns0(1232, false)
	for _, n := range []int{0, 1, 200} {
		m := new(dns.Msg).SetReply(q)
		for i := range n {
			m.Answer = append(m.Answer, address("example.org.", byte(i)))
		}
		m.Extra = append(m.Extra, &dns.TXT{Hdr: dns.RR_Header{Name: "example.org.", Rrtype: dns.TypeTXT, Class: dns.ClassINET}, Txt: []string{"\x1b"}})
		b, err := m.Pack()
		if err != nil {
			f.Fatal(err)
		}
		f.Add(b, true)
		f.Add(b[:len(b)-1], false)
	}
	f.Add([]byte{0, 0, 0x80}, true)
	f.Fuzz(func(t *testing.T, answer []byte, udp bool) {
		if b := fit(answer, q, udp); len(b) > limit(q, udp) {
			t.Errorf("%d bytes", len(b))
		}
	})
}
