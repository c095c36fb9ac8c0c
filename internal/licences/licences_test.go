package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

const mit = `Copyright (c) somebody

Permission is hereby granted, free of charge, to any person obtaining a copy of
this software and associated documentation files (the "Software"), to deal in`

func TestALicenceIsKnownByWhatItGrants(t *testing.T) {
	t.Parallel()
	apache, err := os.ReadFile("../../LICENSE")
	require.NoError(t, err)
	for _, c := range []struct {
		name, text string
		want       []string
		bad        string
	}{
		{"our own", string(apache), []string{"Apache-2.0"}, ""},
		{"wrapped", mit, []string{"MIT"}, ""},
		{"in a comment", "/*\n * " + strings.ReplaceAll(mit, "\n", "\n * ") + "\n */", []string{"MIT"}, ""},
		{"two", mit + "\nLicensed under the Apache License, Version 2.0 (the \"License\");", []string{"Apache-2.0", "MIT"}, ""},
		{"MPL, which speaks of the GPL", "Mozilla Public License Version 2.0\n1.12. \"Secondary License\" means either the GNU General Public License, Version 2.0, the GNU Lesser", []string{"MPL-2.0"}, ""},
		{"GPL", "GNU GENERAL PUBLIC LICENSE\n  Version 3, 29 June 2007", nil, "general public license version 3"},
		{"MIT with a condition", mit + "\n\"Commons Clause\" License Condition v1.0", []string{"MIT"}, "commons clause"},
		{"no words", "All rights reserved.", nil, "no permitted licence"},
		{"nothing", "", nil, "no permitted licence"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			got, err := classify(c.text)
			require.Equal(t, c.want, got)
			if c.bad == "" {
				require.NoError(t, err)
			} else {
				require.ErrorContains(t, err, c.bad)
			}
		})
	}
}

func TestAPackageIsUnderTheFilesBesideItAndAbove(t *testing.T) {
	t.Parallel()
	root := t.TempDir()
	pkg, other := filepath.Join(root, "a", "b"), filepath.Join(root, "c")
	for _, dir := range []string{pkg, other} {
		require.NoError(t, os.MkdirAll(dir, 0o755))
	}
	write := func(dir, file, text string) {
		require.NoError(t, os.WriteFile(filepath.Join(dir, file), []byte(text), 0o644))
	}
	_, err := licencesOf(root, []string{pkg})
	require.ErrorContains(t, err, "no file with a licence")

	write(root, "license.go", "package license // "+mit)
	_, err = licencesOf(root, []string{pkg})
	require.ErrorContains(t, err, "no file with a licence", "code is not the text of one")

	write(root, "LICENSE.md", mit)
	got, err := licencesOf(root, []string{root, pkg})
	require.NoError(t, err)
	require.Equal(t, []string{"MIT"}, got)

	write(other, "COPYING", "GNU GENERAL PUBLIC LICENSE Version 2")
	_, err = licencesOf(root, []string{pkg})
	require.NoError(t, err, "no package from there is used")
	got, err = licencesOf(root, []string{pkg, other})
	require.ErrorContains(t, err, "COPYING")
	require.Equal(t, []string{"MIT"}, got)
}

func TestWhatThisModuleIsBuiltFromIsPermitted(t *testing.T) {
	t.Parallel()
	var b strings.Builder
	require.NoError(t, run(&b, []string{"../.."}))
	for _, m := range []string{"golang.org/x/sync", "pgregory.net/rapid", "github.com/stretchr/testify"} {
		require.Contains(t, b.String(), m)
	}
	require.ErrorContains(t, run(&b, nil), "no directory")
	require.ErrorContains(t, run(&b, []string{t.TempDir()}), "go list")
}
