package httpserver

import (
	"net/http"
	"net/url"
	"path"
	"slices"
	"strings"
	"unicode/utf8"

	"odometer/internal/access"
	"odometer/internal/meter"
)

// Handler answers one request. A returned error is rendered by its surface;
// after the first byte of an answer was written it is only logged.
type Handler func(x *Exchange) error

// Route is one method of one path. Path segments in braces match any one
// non-empty segment, kept under that name: "/api/v1/meters/{key}/usage".
type Route struct {
	Method string
	Path   string
	Public bool // needs no key
	Handle Handler
}

// Surface is one API: its routes, how it reads credentials and how it words errors.
type Surface struct {
	Name         string // in metrics and the log
	Routes       []Route
	Authenticate func(x *Exchange) (access.Principal, error) // nil: every route is public
	Fail         func(x *Exchange, err error)                // nil: WriteProblem

	// Under is where the surface's paths begin, and Refuse how it words what
	// the router refuses there before any route is found: a path that does not
	// exist, 404, and a method that a path does not take, 405. nil: a Problem.
	Under  []string
	Refuse func(x *Exchange, status int, detail string)

	// LoosePaths serves paths whose slashes are doubled, or encoded at the edge
	// of a segment (/%2Forg%2F/default), and StraySegment, if it is not "",
	// those that begin with one segment of that name: all without a redirect, which would turn a POST into a GET. No other
	// surface's path is reached that way.
	LoosePaths   bool
	StraySegment string
}

// route is a Route compiled into the router.
type route struct {
	Route
	surface *Surface
	params  []string // names of the braced segments, in order
	timer   *routeTimer
}

// node is one segment of the tree of paths.
type node struct {
	static  map[string]*node
	any     *node
	methods map[string]*route
	allow   string // value of the Allow header
}

// router finds the route of a request. It is immutable once built.
type router struct {
	root  node
	exact map[string]*node // paths without a braced segment
	under []*Surface       // those that word what is refused
	loose []*Surface       // those with LoosePaths
}

func newRouter(surfaces []*Surface, m *Metrics) *router {
	t := &router{exact: map[string]*node{}}
	for _, s := range surfaces {
		if s.Refuse != nil {
			t.under = append(t.under, s)
		}
		if s.LoosePaths {
			t.loose = append(t.loose, s)
		}
		for _, r := range s.Routes {
			t.add(&route{Route: r, surface: s, timer: m.timer(s.Name, r.Method, r.Path)})
		}
	}
	return t
}

func (t *router) add(r *route) {
	n := &t.root
	for _, seg := range segments(r.Path) {
		var next **node
		if strings.HasPrefix(seg, "{") {
			r.params = append(r.params, strings.Trim(seg, "{}"))
			next = &n.any
		} else {
			if n.static == nil {
				n.static = map[string]*node{}
			}
			child := n.static[seg]
			next = &child
			if child == nil {
				child = &node{}
				n.static[seg] = child
			}
		}
		if *next == nil {
			*next = &node{}
		}
		n = *next
	}
	if n.methods == nil {
		n.methods = map[string]*route{}
	}
	n.methods[r.Method] = r
	n.allow = allowed(n.methods)
	if len(r.params) == 0 {
		t.exact[r.Path] = n
	}
}

func allowed(methods map[string]*route) string {
	list := []string{http.MethodOptions}
	for m := range methods {
		list = append(list, m)
		if m == http.MethodGet {
			list = append(list, http.MethodHead)
		}
	}
	slices.Sort(list)
	return strings.Join(slices.Compact(list), ", ")
}

func segments(path string) []string { return strings.Split(strings.TrimPrefix(path, "/"), "/") }

// find returns the node of a path and the values of its braced segments.
func (t *router) find(u *url.URL) (*node, []string) {
	if n := t.exact[u.Path]; n != nil && u.RawPath == "" {
		return n, nil
	}
	segs := segments(u.EscapedPath())
	for i, s := range segs {
		text, err := url.PathUnescape(s)
		if err != nil {
			return nil, nil
		}
		segs[i] = text
	}
	if n, values := t.root.match(segs, nil); n != nil || len(t.loose) == 0 {
		return n, values
	}
	return t.findLoose(segs)
}

// findLoose finds the node of a path that is written loosely, among those of
// the surfaces that serve such paths. A slash at the end stays one.
func (t *router) findLoose(segs []string) (*node, []string) {
	last := len(segs) - 1
	tidy := append(slices.DeleteFunc(slices.Clone(segs[:last]), func(s string) bool { return s == "" }), segs[last])
	split := splitEdges(tidy)
	for _, s := range t.loose {
		for _, path := range [][]string{tidy, withoutStray(tidy, s.StraySegment), split, withoutStray(split, s.StraySegment)} {
			if n, values := t.root.match(path, nil); n != nil && n.surface() == s {
				return n, values
			}
		}
	}
	return nil, nil
}

// splitEdges takes segments apart that begin or end with a slash, which were
// the literal parts of a path before a client encoded them. A slash within a
// segment stays: an id may have one.
func splitEdges(segs []string) []string {
	var out []string
	for _, s := range segs {
		if strings.HasPrefix(s, "/") || strings.HasSuffix(s, "/") {
			out = append(out, slices.DeleteFunc(strings.Split(s, "/"), func(part string) bool { return part == "" })...)
			continue
		}
		out = append(out, s)
	}
	return out
}

// withoutStray drops the first segment if it is the stray one.
func withoutStray(segs []string, stray string) []string {
	if stray != "" && len(segs) > 1 && segs[0] == stray {
		return segs[1:]
	}
	return segs
}

// surface is whose the paths of a node are.
func (n *node) surface() *Surface {
	for _, r := range n.methods {
		return r.surface
	}
	return nil
}

// match prefers the literal segment to the braced one, and goes back where that leads nowhere.
func (n *node) match(segs, values []string) (*node, []string) {
	if len(segs) == 0 {
		if n.methods == nil {
			return nil, nil
		}
		return n, values
	}
	if next := n.static[segs[0]]; next != nil {
		if found, v := next.match(segs[1:], values); found != nil {
			return found, v
		}
	}
	if n.any != nil && segs[0] != "" {
		return n.any.match(segs[1:], append(values, segs[0]))
	}
	return nil, nil
}

// choose picks the method's route of a node; HEAD is answered by GET.
func (n *node) choose(method string) *route {
	if r := n.methods[method]; r != nil {
		return r
	}
	if method == http.MethodHead {
		return n.methods[http.MethodGet]
	}
	return nil
}

// system tells whether a node belongs to the health pages.
func (t *router) system(n *node) bool {
	return n != nil && n.surface() != nil && n.surface().Name == systemName
}

// refuse answers what no route does, in the words of the surface below whose
// paths the request's lies once it is cleaned of what made it unknown.
func (t *router) refuse(x *Exchange, status int, detail string) {
	cleaned := path.Clean("/" + x.Request.URL.Path)
	for _, s := range t.under {
		for _, prefix := range s.Under {
			if strings.HasPrefix(cleaned, prefix) {
				s.Refuse(x, status, detail)
				return
			}
		}
	}
	p := Problem{Type: problemType + "method_not_allowed", Title: "Method not allowed", Status: status, Detail: detail}
	if status == http.StatusNotFound {
		p.Type, p.Title = problemType+meter.KindNotFound.String(), answers[meter.KindNotFound].title
	}
	writeProblem(x, p)
}

// dispatch routes x and answers what no route does: unknown paths, OPTIONS and wrong methods.
// While the server is starting only the system's own paths are known.
func (t *router) dispatch(x *Exchange, starting bool) error {
	n, values := t.find(x.Request.URL)
	if starting && !t.system(n) {
		return errStarting
	}
	if n == nil {
		t.refuse(x, http.StatusNotFound, "no such path")
		return nil
	}
	r := n.choose(x.Request.Method)
	if r == nil {
		x.Header().Set("Allow", n.allow)
		if x.Request.Method == http.MethodOptions {
			x.WriteHeader(http.StatusNoContent)
			return nil
		}
		t.refuse(x, http.StatusMethodNotAllowed, "this path answers "+n.allow)
		return nil
	}
	x.route, x.values = r, values
	if !utf8.ValidString(x.Request.URL.Path) { // else two ids would become one further in
		return meter.Errorf(meter.KindInvalid, "the path is not percent-encoded UTF-8")
	}
	if !r.Public && r.surface.Authenticate != nil {
		p, err := r.surface.Authenticate(x)
		if err != nil {
			x.keyRefused(err)
			return err
		}
		x.Principal = p
	}
	return r.Handle(x)
}
