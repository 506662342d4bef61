package project

import (
	"errors"
	"sync"

	"github.com/compose-spec/compose-go/v2/interpolation"
	"github.com/compose-spec/compose-go/v2/loader"
	"github.com/compose-spec/compose-go/v2/template"
	"github.com/compose-spec/compose-go/v2/tree"
	"github.com/compose-spec/compose-go/v2/types"
	"strings"
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
func interpolate(v any, at keyState[interpolation.Cast], lookup template.Mapping) (any, error) {
	switch v := v.(type) {
	case string:
		text := v
		if strings.Contains(text, "$") {
			var err error
			if text, err = template.Substitute(text, lookup); err != nil {
				return nil, err
			}
		}
		if cast, ok := at.match(); ok {
			return cast(text)
		}
		return text, nil
	case map[string]any:
		for key, e := range v {
			out, err := interpolate(e, at.next(key), lookup)
			if err != nil {
				return nil, err
			}
			v[key] = out
		}
		return v, nil
	case []any:
		items := at.next(tree.PathMatchList)
		for i, e := range v {
			out, err := interpolate(e, items, lookup)
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
