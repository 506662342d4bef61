package project

import (
	"errors"
	"maps"
	"sync"

	"github.com/compose-spec/compose-go/v2/interpolation"
	"github.com/compose-spec/compose-go/v2/loader"
	"github.com/compose-spec/compose-go/v2/tree"
	"github.com/compose-spec/compose-go/v2/types"
)

// casts are compose-go's conversions of interpolated texts, by path.
var casts = sync.OnceValue(func() *keyTree[interpolation.Cast] {
	options := loader.ToOptions(&types.ConfigDetails{}, nil)
	return newKeyTree(options.Interpolate.TypeCastMapping)
})

// errSlow means that a model is beyond what the quick way knows, or wrong:
// compose-go is to read it whole, and to say what is wrong.
var errSlow = errors.New("left to compose-go")

// interpolate replaces the variables in all texts below v and converts the
// results to the types of their keys.
func (l *loading) interpolate(v any, at keyState[interpolation.Cast]) (any, error) {
	switch v := v.(type) {
	case string:
		text, err := l.substitute(v, l.env.Resolve)
		if err != nil {
			return nil, err
		}
		if cast, ok := at.match(); ok {
			return cast(text)
		}
		return text, nil
	case map[string]any:
		for key, e := range v {
			out, err := l.interpolate(e, at.next(key))
			if err != nil {
				return nil, err
			}
			v[key] = out
		}
		return v, nil
	case []any:
		items := at.next(tree.PathMatchList)
		for i, e := range v {
			out, err := l.interpolate(e, items)
			if err != nil {
				return nil, err
			}
			v[i] = out
		}
		return v, nil
	case nil, bool, int, float64:
		return v, nil
	}
	return nil, errSlow
}

// countingCasts are casts that count the ports of short forms as they pass.
func (l *loading) countingCasts(casts map[tree.Path]interpolation.Cast) map[tree.Path]interpolation.Cast {
	casts = maps.Clone(casts)
	for _, key := range []string{"ports", "expose"} {
		casts[tree.NewPath("services", tree.PathMatchAll, key, tree.PathMatchList)] = func(text string) (any, error) {
			return text, l.countPort(text)
		}
	}
	return casts
}
