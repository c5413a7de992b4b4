import Testing

private let fileLinesMax = 700
private let functionLinesMax = 70

@Suite struct SourceTests {
    @Test("no Swift file is longer than 700 lines")
    func fileLength() throws {
        let files = try Repository.product() + Repository.files(in: ["Tests"], endings: [".swift"])
        for file in files {
            #expect(
                file.lines.count <= fileLinesMax,
                "\(file.path) has \(file.lines.count) lines"
            )
        }
    }

    @Test("no function is longer than 70 lines")
    func functionLength() throws {
        for file in try Repository.product() {
            for function in file.functions {
                #expect(
                    function.length <= functionLinesMax,
                    "\(file.path):\(function.line) has \(function.length) lines"
                )
            }
        }
    }

    @Test("no source file is empty")
    func empty() throws {
        for file in try Repository.files(in: ["Sources"], endings: [".swift"]) {
            #expect(file.lines.contains { !$0.isEmpty }, "\(file.path)")
        }
    }

    @Test("the core reads no clock, prints nothing and never sleeps")
    func core() throws {
        let folders = ["Sources/Base", "Sources/LogStore", "Sources/Broker", "Sources/StompCodec"]
        let banned = [
            "Date()", "print(", "debugPrint(", "sleep(", "usleep(", "nanosleep(",
            "ContinuousClock", "SuspendingClock", "SystemRandomNumberGenerator",
        ]
        for file in try Repository.files(in: folders, endings: [".swift"]) {
            var found = file.lines(with: banned)
            // The one wait: for a lock that the system cannot be asked to wait for within bounds.
            if file.path.hasSuffix("LogStore/IO/PosixFileSystem.swift"), found.count == 1 {
                found.removeAll { $0.contains("usleep(Self.lockPauseMicroseconds)") }
            }
            #expect(found.isEmpty, "\(file.path):\(found.joined(separator: "\n"))")
        }
    }

    @Test("nothing outside of tests forces a try or a cast")
    func forced() throws {
        for file in try Repository.product() {
            let found = file.lines(with: ["try!", "as!"])
            #expect(found.isEmpty, "\(file.path):\(found.joined(separator: "\n"))")
        }
    }

    @Test("nothing is left to be fixed")
    func fixme() throws {
        // In two parts, so that this file does not find itself.
        let word = "FIX" + "ME"
        let folders = ["Sources", "Tests", "tools", "Benchmarks", ".ci"]
        let files =
            try Repository.files(
                in: folders,
                endings: [".swift", ".c", ".h", ".py", "run", "step"]
            )
            + [Repository.file("Package.swift"), Repository.file("Makefile")]
        for file in files {
            #expect(!file.lines.contains { $0.contains(word) }, "\(file.path)")
        }
    }
}

@Suite struct DocumentTests {
    @Test("local links of the documents lead to files that exist")
    func links() throws {
        let pages = try ["README.md", "CHANGELOG.md"].filter(Repository.exists).map(Repository.file)
        let folders = ["docs", "examples"].filter(Repository.exists)
        for page in try pages + Repository.files(in: folders, endings: [".md"]) {
            let folder = page.path.split(separator: "/").dropLast().joined(separator: "/")
            for link in page.localLinks {
                let path = link.hasPrefix("/") ? link : "\(folder)/\(link)"
                #expect(Repository.exists(path), "\(page.path) links to \(link)")
            }
        }
    }
}

@Suite struct SourceFileTests {
    @Test("comments and strings are no code")
    func code() {
        #expect(SourceFile.code("a(\"// \\\" print(\") // print(") == "a(\"\") ")
        let file = SourceFile(path: "x", text: "blueprint(1)\nprint(1)\n// print(2)\n\"print(3)\"")
        #expect(file.lines(with: ["print("]) == ["2: print(1)"])
    }

    @Test("functions are measured with long signatures, and only those that have a body")
    func functions() {
        let text = """
            protocol P {
                func required(
                    a: Int
                ) -> Int
                func also()
            }
            struct S {
                init() {
                    a = 1
                }
                func long(
                    a: Int
                ) throws -> Int {
                    if a { }
                    return 1
                }
                func short() { 1 }
            }
            """
        let functions = SourceFile(path: "x", text: text).functions
        #expect(functions.map(\.line) == [8, 11])
        #expect(functions.map(\.length) == [3, 6])
    }

    @Test("links to files are told from anchors and addresses")
    func links() {
        let text = "[a](b.md#c) and [d](#e) [f](https://g) [h](../i.md \"title\")"
        #expect(SourceFile(path: "x", text: text).localLinks == ["b.md", "../i.md"])
    }
}
