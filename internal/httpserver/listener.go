package httpserver

import (
	"container/list"
	"crypto/tls"
	"net"
	"net/http"
	"net/netip"
	"sync"
	"time"
)

// connections bounds the connections that are open at once, in all and of one
// address. When they are all taken, a new one closes the one that has been
// without a request for longest, so that clients that only hold connections
// keep nobody out; while each has a request in progress, the new one waits.
// The fuller it is, the shorter a connection may be idle.
type connections struct {
	net.Listener
	limit      int
	perAddress int
	idle       time.Duration // how long one may be idle while half of them are free
	now        func() time.Time

	mu        sync.Mutex
	freed     sync.Cond // one was closed, or the listener was
	closed    bool
	open      int
	byAddress map[netip.Addr]int
	// Without a request, the longest so first: after their last answer, and since they were accepted.
	idles, fresh list.List // of *trackedConn
}

func limitConnections(l net.Listener, limits Limits, now func() time.Time) *connections {
	c := &connections{Listener: l, limit: limits.Connections, perAddress: limits.ConnectionsPerAddress, idle: limits.IdleTimeout, now: now,
		byAddress: map[netip.Addr]int{}}
	c.freed.L = &c.mu
	return c
}

// trackedConn is one open connection. Its fields are guarded by the mutex of connections.
type trackedConn struct {
	net.Conn
	of      *connections
	address netip.Addr
	in      *list.List // idles, fresh or nil
	at      *list.Element
	since   time.Time // when it was put there
	gone    bool
}

// Accept returns the next connection that there is room for.
func (l *connections) Accept() (net.Conn, error) {
	for {
		conn, err := l.Listener.Accept()
		if err != nil {
			return nil, err
		}
		c := &trackedConn{Conn: conn, of: l}
		if remote, ok := conn.RemoteAddr().(*net.TCPAddr); ok {
			c.address = remote.AddrPort().Addr().Unmap()
		}
		if l.admit(c) {
			return c, nil
		}
		_ = conn.Close()
	}
}

// admit makes room for c, and tells whether there is any.
func (l *connections) admit(c *trackedConn) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.sweep()
	if l.byAddress[c.address] >= l.perAddress && !l.evict(func(old *trackedConn) bool { return old.address == c.address }) {
		return false
	}
	for l.open >= l.limit && !l.closed {
		if !l.evict(func(*trackedConn) bool { return true }) {
			l.freed.Wait()
		}
	}
	if l.closed {
		return false
	}
	l.open++
	l.byAddress[c.address]++
	l.put(c, &l.fresh)
	return true
}

// sweep closes those that have been idle for longer than how full it is allows.
func (l *connections) sweep() {
	free := l.limit - l.open
	if 2*free >= l.limit {
		return // net/http closes those that are idle for too long
	}
	oldest := l.now().Add(-l.idle * time.Duration(2*max(free, 0)) / time.Duration(l.limit))
	for e := l.idles.Front(); e != nil; e = l.idles.Front() {
		c := e.Value.(*trackedConn)
		if c.since.After(oldest) {
			return
		}
		l.drop(c)
	}
}

// evict closes the connection that has been without a request for longest, of
// those that which picks; it tells whether there is one.
func (l *connections) evict(which func(*trackedConn) bool) bool {
	for _, in := range []*list.List{&l.idles, &l.fresh} {
		for e := in.Front(); e != nil; e = e.Next() {
			if c := e.Value.(*trackedConn); which(c) {
				l.drop(c)
				return true
			}
		}
	}
	return false
}

// drop closes a connection and forgets it.
func (l *connections) drop(c *trackedConn) {
	l.forget(c)
	_ = c.Conn.Close()
}

func (l *connections) forget(c *trackedConn) {
	if c.gone {
		return
	}
	c.gone = true
	l.put(c, nil)
	l.open--
	if l.byAddress[c.address]--; l.byAddress[c.address] == 0 {
		delete(l.byAddress, c.address)
	}
	l.freed.Signal()
}

// put moves a connection to the end of one of the lists, or out of them.
func (l *connections) put(c *trackedConn, in *list.List) {
	if c.in != nil {
		c.in.Remove(c.at)
	}
	c.in, c.at = in, nil
	if in != nil {
		c.since, c.at = l.now(), in.PushBack(c)
	}
}

// state is http.Server's ConnState: it learns which connections have no request.
func (l *connections) state(conn net.Conn, state http.ConnState) {
	if secure, ok := conn.(*tls.Conn); ok {
		conn = secure.NetConn()
	}
	c, ok := conn.(*trackedConn)
	if !ok {
		return
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	switch {
	case c.gone:
	case state == http.StateIdle:
		l.put(c, &l.idles)
		l.freed.Signal() // whoever waits may take its place
	case state != http.StateNew:
		l.put(c, nil)
	}
}

// Close stops accepting and wakes a waiting Accept.
func (l *connections) Close() error {
	l.mu.Lock()
	l.closed = true
	l.mu.Unlock()
	l.freed.Broadcast()
	return l.Listener.Close()
}

// Close gives the place back, once.
func (c *trackedConn) Close() error {
	c.of.mu.Lock()
	c.of.forget(c)
	c.of.mu.Unlock()
	return c.Conn.Close()
}
