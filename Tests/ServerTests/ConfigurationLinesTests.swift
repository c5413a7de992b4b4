import Testing

@testable import Server

@Suite struct ConfigurationLinesTests {
    @Test("keys are found behind comments, long values and quoted or dotted spellings")
    func lines() {
        let lines = ConfigurationLines(
            """
            top = 1 # [no.table]
            [a] # x = 1
              one = '''
            two = 2
            '''
            "three" = ["[", # ]
              "five = 5"
            ]
            b.c = { d = 1 }
            text = "\\"[[" # end

            [[list]]
            key = ""
            [[ list ]]
            key = ""\"
            key2 = ""\" # not a string any more
            last = 1
            [list.inner]
            key = 1
            """
        )
        #expect(lines.line(of: "top") == 1)
        #expect(lines.line(of: "a") == 2)
        #expect(lines.line(of: "a.one") == 3)
        #expect(lines.line(of: "a.two") == 2)
        #expect(lines.line(of: "a.three") == 6)
        #expect(lines.line(of: "a.b.c.d") == 9)
        #expect(lines.line(of: "a.text") == 10)
        #expect(lines.line(of: "list[0].key") == 13)
        #expect(lines.line(of: "list[1]") == 14)
        #expect(lines.line(of: "list[1].key") == 15)
        #expect(lines.line(of: "list[1].key2") == 14)
        #expect(lines.line(of: "list[1].last") == 17)
        #expect(lines.line(of: "list[1].inner") == 18)
        #expect(lines.line(of: "list[1].inner.key") == 19)
        #expect(lines.line(of: "unknown") == 1)
    }

    @Test("lines are counted alike with CRLF")
    func carriageReturns() {
        let lines = ConfigurationLines("[a]\r\nb = 1\r\n[[c]]\r\nd = 2\r\n")
        #expect(lines.line(of: "a.b") == 2)
        #expect(lines.line(of: "c[0].d") == 4)
    }
}

@Suite struct SuggestionTests {
    @Test(
        "the nearest word is meant, if it is near",
        arguments: [
            ("fsycn", "fsync"), ("segmentsize", "segment_size"), ("fsync ", "fsync"),
        ]
    )
    func near(word: String, meant: String) {
        #expect(
            Suggestion.nearest(to: word, among: ["directory", "segment_size", "fsync"]) == meant
        )
    }

    @Test("a word far from all is nobody's slip", arguments: ["", "x", "compression", "sync_f"])
    func far(word: String) {
        #expect(Suggestion.nearest(to: word, among: ["directory", "fsync"]) == nil)
    }
}
