// No C++ exception leaves these files: a function that fails returns null (or -1), and hf_last_error says why.
#pragma once
#include <c10/util/Exception.h>

#include <string>

extern thread_local std::string hf_error;

template <class F>
static auto guard(F&& f, decltype(f()) bad) -> decltype(f()) {
  try {
    return f();
  } catch (const c10::Error& e) {
    hf_error = e.what_without_backtrace();
  } catch (const std::exception& e) {
    hf_error = e.what();
  } catch (...) {
    hf_error = "unknown C++ exception";
  }
  return bad;
}
