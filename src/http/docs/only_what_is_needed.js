// A field of a form that may be left out starts empty and is not sent: the page would fill it with a sample, such as 0.1
// for any number, and send that as a setting.
const OnlyWhatIsNeeded = () => ({
  wrapComponents: {
    JsonSchemaForm: (Form, { React }) => (props) =>
      React.createElement(
        Form,
        props.required || !props.dispatchInitialValue ? props : { ...props, dispatchInitialValue: false },
      ),
    // "Send empty value", which is ticked otherwise.
    ParameterIncludeEmpty: (Box, { React }) => (props) =>
      React.createElement(Box, {
        ...props,
        isIncludedOptions: { ...props.isIncludedOptions, defaultValue: false },
      }),
  },
});
