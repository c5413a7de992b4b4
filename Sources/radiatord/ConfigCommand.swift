import ArgumentParser
import FoundationEssentials
import Server

/// `radiatord config`: what the configuration says, without a daemon.
struct ConfigCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "config",
        abstract: "Checks, shows and explains the configuration.",
        subcommands: [Check.self, Show.self, Explain.self]
    )

    /// Where the configuration comes from.
    struct Source: ParsableArguments {
        @Option(help: ArgumentHelp("The configuration file, in TOML.", valueName: "file"))
        var config: String?

        /// Hands the configuration to `body`; complains and exits with 1 if it is wrong.
        func read(
            readsCertificates: Bool = false,
            _ body: (Configuration) throws -> Void
        ) throws {
            do {
                try body(
                    try Configuration.load(
                        .init(config: config),
                        environment: ProcessInfo.processInfo.environment,
                        readsCertificates: readsCertificates
                    )
                )
            } catch {
                throw Complaint.failure(error)
            }
        }
    }

    struct Check: ParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Every problem with its line, or a summary.",
            discussion: "Exit codes: 0 sound, 1 problems, 64 wrong arguments."
        )

        @OptionGroup var source: Source

        func run() throws {
            try source.read(readsCertificates: true) { print(try $0.report()) }
        }
    }

    struct Show: ParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Every setting as it holds, as a file that means the same.",
            discussion: "Defaults, the file and the environment together."
        )

        @OptionGroup var source: Source

        func run() throws { try source.read { print($0.toml, terminator: "") } }
    }

    struct Explain: ParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "What holds for one destination, and which rule says so.",
            discussion: "Example: radiatord config explain /queue/orders --config radiator.toml"
        )

        @Argument(help: "Its name, as clients write it.")
        var destination: String

        @OptionGroup var source: Source

        func run() throws { try source.read { print(try $0.explanation(of: destination)) } }
    }
}
