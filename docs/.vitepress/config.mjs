import { readdirSync } from "node:fs"

/** Specification tables are full of `<` and `>` that are no HTML; the API pages are HTML on purpose. */
const plainTextFolders = ["spec/"]

const specs = readdirSync(new URL("../spec/", import.meta.url)).filter((name) => name.endsWith(".md"))

export default {
  title: "Pagewright",
  description: "Typed virtual-memory-area capabilities on Effect, over a faithful simulated Linux mm",
  cleanUrls: true,
  themeConfig: {
    nav: [
      { text: "Guide", link: "/guide/first-driver" },
      { text: "API", link: "/api/" },
      { text: "Specification", link: "/spec/rust-virt" },
      { text: "Conformance", link: "/conformance" }
    ],
    sidebar: {
      "/guide/": [
        { text: "A first driver in ten minutes", link: "/guide/first-driver" },
        { text: "Locks, sections and flags as types", link: "/guide/locks-sections-flags" },
        { text: "Answer faults yourself: userfaultfd", link: "/guide/userfaultfd" },
        { text: "Objects of your own: Mappable", link: "/guide/objects" },
        { text: "How true it is, and how to ask", link: "/guide/conformance" },
        { text: "Replaying a log of strace", link: "/guide/strace" },
        { text: "What it costs", link: "/guide/performance" }
      ],
      "/api/": [
        { text: "pagewright", link: "/api/pagewright" },
        { text: "pagewright/testing", link: "/api/pagewright-testing" }
      ],
      "/spec/": specs.map((name) => ({ text: name.replace(/\.md$/, ""), link: `/spec/${name.replace(/\.md$/, "")}` }))
    },
    outline: [2, 3],
    search: { provider: "local" }
  },
  markdown: {
    // object types in braces are no attributes
    attrs: { disable: true },
    config: (md) =>
      md.core.ruler.before("normalize", "html-or-not", (state) => {
        md.set({ html: !plainTextFolders.some((folder) => String(state.env.relativePath).startsWith(folder)) })
      })
  }
}
