import Base
import Glibc
import TOMLKit

extension Configuration {
    /// What the command line says; it counts more than the environment, and that more than the file.
    package struct CommandLine: Sendable {
        package var config: String?
        package var data: String?
        /// None: what the file says.
        package var listen: [String]

        package init(config: String? = nil, data: String? = nil, listen: [String] = []) {
            self.config = config
            self.data = data
            self.listen = listen
        }
    }

    /// A larger file is no configuration but a mistake.
    private static let fileBytesMax = 1 << 20

    /// Reads the file, if there is one, then the environment and the command line.
    ///
    /// Blocks for the file. Throws every problem at once; only a syntax error stands alone, for
    /// nothing behind it can be read. With `readsCertificates` the files that listeners name for TLS
    /// are read, too, and what is wrong with them is told with the rest.
    package static func load(
        _ commandLine: CommandLine,
        environment: [String: String],
        readsCertificates: Bool = false
    ) throws(ConfigurationError) -> Configuration {
        let text = try commandLine.config.map { path throws(ConfigurationError) in
            try read(path)
        }
        return try parse(
            text ?? "",
            commandLine,
            environment: environment,
            readsCertificates: readsCertificates
        )
    }

    /// The same for a text that was already read from `commandLine.config`.
    package static func parse(
        _ text: String,
        _ commandLine: CommandLine = CommandLine(config: "radiator.toml"),
        environment: [String: String] = [:],
        readsCertificates: Bool = false
    ) throws(ConfigurationError) -> Configuration {
        let file = commandLine.config ?? "defaults"
        let root = try tree(text, file: file)
        var check = ConfigurationCheck(file: file, text: text, root: root, environment: environment)
        check.run()
        if let data = commandLine.data { check.use(data: data) }
        check.use(listen: commandLine.listen)
        if readsCertificates { check.readCertificates() }
        return try check.finish()
    }

    private static func tree(
        _ text: String,
        file: String
    ) throws(ConfigurationError) -> [String: ConfigurationValue] {
        // The parser takes a C string: it would stop at a zero byte without a word.
        if let zero = text.utf8.firstIndex(of: 0) {
            let line = text.utf8[..<zero].count { $0 == UInt8(ascii: "\n") } + 1
            throw failure("\(file):\(line)", "the file holds a zero byte")
        }
        if let line = lineOfBadHeader(text) {
            throw failure("\(file):\(line)", "a table is written [name] or [[name]]")
        }
        do {
            return ConfigurationValue.entries(try TOMLTable(string: text))
        } catch let error as TOMLParseError {
            throw failure("\(file):\(error.source.begin.line)", "TOML: \(error.description)")
        } catch {
            throw failure(file, "\(error)")
        }
    }

    /// The first line that begins like a table's name and goes on with something else.
    ///
    /// The parser takes for granted that a key follows, and ends the process where none does.
    private static func lineOfBadHeader(_ text: String) -> Int? {
        for (index, line) in text.split(separator: "\n", omittingEmptySubsequences: false)
            .enumerated()
        {
            var rest = line.utf8.drop { $0 == UInt8(ascii: " ") || $0 == UInt8(ascii: "\t") }
            guard rest.first == UInt8(ascii: "[") else { continue }
            rest = rest.dropFirst()
            if rest.first == UInt8(ascii: "[") { rest = rest.dropFirst() }
            rest = rest.drop { $0 == UInt8(ascii: " ") || $0 == UInt8(ascii: "\t") }
            guard let first = rest.first, isKeyStart(first) else { return index + 1 }
        }
        return nil
    }

    private static func isKeyStart(_ byte: UInt8) -> Bool {
        let character = Character(Unicode.Scalar(byte))
        return character.isASCII
            && (character.isLetter || character.isNumber || "_-\"']".contains(character))
    }

    /// The text of a configuration file.
    static func read(_ path: String) throws(ConfigurationError) -> String {
        guard let file = fopen(path, "re") else { throw unreadable(path) }
        defer { fclose(file) }
        var bytes = [UInt8](repeating: 0, count: fileBytesMax + 1)
        let count = fread(&bytes, 1, bytes.count, file)
        guard ferror(file) == 0 else { throw unreadable(path) }
        guard count <= fileBytesMax else {
            throw failure(path, "is larger than \(ByteCount(fileBytesMax)), so no configuration")
        }
        guard let text = String(validating: bytes[..<count], as: UTF8.self) else {
            throw failure(path, "is no UTF-8 text")
        }
        return text
    }

    private static func unreadable(_ path: String) -> ConfigurationError {
        failure(path, "cannot be read: \(String(cString: strerror(errno)))")
    }

    private static func failure(_ place: String, _ text: String) -> ConfigurationError {
        ConfigurationError(problems: [ConfigurationProblem(place: place, text: text)])
    }
}
