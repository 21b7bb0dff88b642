#pragma once

#include <CLI/CLI.hpp>

#include <cstdio>
#include <exception>
#include <functional>
#include <string>

#include "errors.hpp"

namespace support {

/// How a program ends: some input failed, the command line cannot be carried out, or Ctrl-C, as shells count it.
enum ExitStatus { all_well = 0, some_failed = 1, wrong_command_line = 2, interrupted = 130 };

/// A check that the help does not describe: the option's text does.
inline CLI::Validator quiet(CLI::Validator check) { return check.description(""); }

/// Reads the command line and runs; what goes wrong is told in one line. Gives the exit status.
inline int run_program(const std::string& name, CLI::App& command_line, int argc, char** argv,
                       const std::function<int()>& run) {
  try {
    command_line.parse(argc, argv);
    return run();
  } catch (const CLI::Success& asked) {  // --help, --version
    return command_line.exit(asked);
  } catch (const CLI::ParseError& error) {
    std::fprintf(stderr, "%s: %s; %s --help tells what can be given\n", name.c_str(), error.what(), name.c_str());
    return wrong_command_line;
  } catch (const UsageError& error) {
    std::fprintf(stderr, "%s: %s\n", name.c_str(), error.what());
    return wrong_command_line;
  } catch (const std::exception& error) {
    std::fprintf(stderr, "%s: %s\n", name.c_str(), one_line(error).c_str());
    return some_failed;
  }
}

}  // namespace support
