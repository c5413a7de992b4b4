import Testing

@testable import Server

/// The file `radiator.example.toml` in the root of the repository.
private func exampleText() throws -> String {
    let path =
        #filePath.split(separator: "/", omittingEmptySubsequences: false)
        .dropLast(3).joined(separator: "/") + "/radiator.example.toml"
    return try Configuration.read(path)
}

/// The example with its commented examples (`#key`, `#[[table]]`) in use.
private func exampleInUse() throws -> String {
    try exampleText().split(separator: "\n", omittingEmptySubsequences: false).map { line in
        let isExample = line.first == "#" && line.dropFirst().first.map { $0 != " " } == true
        return isExample ? line.dropFirst() : line
    }.joined(separator: "\n")
}

@Suite struct ConfigurationExampleTests {
    @Test("the example file shows the defaults")
    func defaults() throws {
        #expect(try Configuration.parse(exampleText()) == Configuration())
    }

    @Test("the example file is accepted with all its examples in use")
    func examples() throws {
        let configuration = try Configuration.parse(exampleInUse())
        #expect(configuration.queue.count == 2)
        #expect(configuration.fanout.count == 1)
        #expect(configuration.topic.count == 2)
    }

    @Test("the example file lists every supported key", arguments: ConfigurationKeys.sections)
    func complete(section: ConfigurationKeys.Section) throws {
        let lines = ConfigurationLines(try exampleInUse())
        let paths = section.isList ? (0..<3).map { "\(section.name)[\($0)]" } : [section.name]
        for key in section.supported {
            let isListed = paths.contains { path in
                lines.line(of: "\(path).\(key)") != lines.line(of: path)
            }
            #expect(isListed, "\(section.header) \(key)")
        }
    }
}
