package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/distribution/reference"
	"github.com/docker/go-units"
	"github.com/spf13/cobra"

	"github.com/compose-first/compose/engine"
	"github.com/compose-first/compose/internal/table"
)

func (a *app) imageCommand() *cobra.Command {
	c := &cobra.Command{
		Use:   "image COMMAND",
		Short: "Images on this host",
		Args:  noArgs,
		RunE:  func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	c.AddCommand(a.imageLoadCommand(), a.imageLsCommand())
	return c
}

func (a *app) imageLoadCommand() *cobra.Command {
	var input string
	var quiet bool
	c := &cobra.Command{
		Use:   "load [OPTIONS]",
		Short: "Load images from an archive",
		Long:  "Load images from an archive that docker save wrote, or of the OCI layout, compressed or not.",
		Args:  noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return a.loadImages(cmd.Context(), input, quiet)
		},
	}
	c.Flags().StringVarP(&input, "input", "i", "", "Archive (default: standard input)")
	c.Flags().BoolVarP(&quiet, "quiet", "q", false, "Do not print the names")
	return c
}

func (a *app) loadImages(ctx context.Context, input string, quiet bool) error {
	var archive io.Reader = a.in
	switch {
	case input != "" && input != "-":
		f, err := os.Open(input)
		if err != nil {
			return err
		}
		defer f.Close()
		archive = f
	case isTerminal(a.in):
		return errors.New("requested load from stdin, but stdin is empty: use -i FILE")
	}
	r, err := a.use(ctx)
	if err != nil {
		return err
	}
	names, err := r.engine.Load(ctx, archive)
	if err != nil {
		return err
	}
	for _, name := range names {
		if !quiet {
			fmt.Fprintln(a.out, "Loaded image: "+familiar(name))
		}
	}
	return nil
}

// imageRow is an image as image ls lists it.
type imageRow struct {
	Containers   string
	CreatedAt    string
	CreatedSince string
	Digest       string
	ID           string
	Repository   string
	SharedSize   string
	Size         string
	Tag          string
	UniqueSize   string
	VirtualSize  string
}

var imageTable = table.Spec{
	Default: "{{.Repository}}\t{{.Tag}}\t{{.ID}}\t{{.CreatedSince}}\t{{.Size}}",
	Headers: map[string]string{"ID": "IMAGE ID", "CreatedSince": "CREATED", "CreatedAt": "CREATED AT"},
}

func (a *app) imageLsCommand() *cobra.Command {
	var format string
	var quiet, noTrunc bool
	c := &cobra.Command{
		Use:     "ls [OPTIONS] [REPOSITORY[:TAG]]",
		Aliases: []string{"list"},
		Short:   "List images",
		Args:    cobra.MaximumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			name := strings.Join(args, "")
			rows, err := a.imageRows(cmd.Context(), name, noTrunc)
			if err != nil {
				return err
			}
			if !quiet {
				return table.Write(a.out, format, imageTable, rows)
			}
			for _, row := range rows {
				fmt.Fprintln(a.out, row.ID)
			}
			return nil
		},
	}
	c.Flags().StringVar(&format, "format", "table", "table, json, or a Go template")
	c.Flags().BoolVarP(&quiet, "quiet", "q", false, "IDs alone")
	c.Flags().BoolVar(&noTrunc, "no-trunc", false, "Do not shorten IDs")
	return c
}

// imageRows lists images, those of a name where it is not "".
func (a *app) imageRows(ctx context.Context, name string, noTrunc bool) ([]imageRow, error) {
	r, err := a.look(ctx)
	if err != nil || r.engine == nil {
		return nil, err
	}
	images, err := r.engine.Images(ctx)
	if err != nil {
		return nil, err
	}
	for n, i := range images {
		if whole, err := r.engine.ResolveImage(ctx, i.Name, ""); err == nil { // else of another platform: what is known
			images[n] = whole
		}
	}
	var rows []imageRow
	now := time.Now()
	for _, i := range newestFirst(images) {
		row := newImageRow(i, now, noTrunc)
		if name == "" || name == row.Repository || name == row.Repository+":"+row.Tag {
			rows = append(rows, row)
		}
	}
	return rows, nil
}

// newestFirst is images by the time they were made.
func newestFirst(images []engine.Image) []engine.Image {
	slices.SortStableFunc(images, func(x, y engine.Image) int { return y.Created.Compare(x.Created) })
	return images
}

func newImageRow(i engine.Image, now time.Time, noTrunc bool) imageRow {
	repository, tag := splitReference(i.Name)
	row := imageRow{
		Containers: "N/A", Digest: i.Digest, ID: i.Digest, Repository: repository, Tag: tag,
		Size: units.HumanSizeWithPrecision(float64(i.Size), 3), SharedSize: "N/A", UniqueSize: "N/A", VirtualSize: "N/A",
		CreatedAt: "N/A", CreatedSince: "N/A",
	}
	if !i.Created.IsZero() {
		row.CreatedAt, row.CreatedSince = i.Created.Local().Format(createdForm), table.Ago(i.Created, now)
	}
	if !noTrunc {
		row.ID = shortID(strings.TrimPrefix(i.Digest, "sha256:"))
	}
	return row
}

// splitReference is the repository and tag of an image's name, as users write
// them.
func splitReference(name string) (repository, tag string) {
	named, err := reference.ParseNormalizedNamed(name)
	if err != nil {
		return name, "<none>"
	}
	if t, ok := named.(reference.Tagged); ok {
		return reference.FamiliarName(named), t.Tag()
	}
	return reference.FamiliarName(named), "<none>"
}

// familiar is an image's name as users write it.
func familiar(name string) string {
	named, err := reference.ParseNormalizedNamed(name)
	if err != nil {
		return name
	}
	return reference.FamiliarString(named)
}
